import { describe, expect, test } from "vitest";
import { entry, Fd, func, kcall, refusal, tc, value } from "./kfunc-kernel.js";
import { programId } from "./kfunc-program.js";
import { addi, call, callLocal, exit, jeqi, jnei, ldx, mov, movi, Size, sti, stx } from "./small-kernel.js";

/** What linux 6.12 lets pass although it is not safe, and is refused here. */

const done = [movi(0, 0), exit];
const functions = (...named: readonly [insn: number, name: string][]) => ({
  funcInfo: named.map(([insn, name]) => ({ insn, type: programId(name) })),
});

describe("global functions", () => {
  test("one that may sleep is not called where nothing may", () => {
    const copy = [
      mov(1, 10),
      addi(1, -8),
      movi(2, 8),
      movi(3, 0),
      movi(4, 0),
      kcall("bpf_copy_from_user_str"),
      ...done,
    ];
    const plain = [callLocal(2), ...done];
    const locked = [kcall("bpf_rcu_read_lock"), callLocal(3), kcall("bpf_rcu_read_unlock"), ...done];
    const info = (main: readonly unknown[]) => ({
      sleepable: true,
      ...functions([0, "main"], [main.length, "helping"]),
    });
    expect(refusal(entry([...plain, ...copy], info(plain)))).toBe("");
    expect(refusal(entry([...locked, ...copy], info(locked)))).toBe(
      "EINVAL: global functions that may sleep are not allowed in non-sleepable context",
    );
  });

  test("one that may throw is not called while something is held", () => {
    const throwing = [movi(1, 0), kcall("bpf_throw"), ...done];
    const make = [
      movi(1, programId("plain")),
      movi(2, 0),
      kcall("bpf_obj_new_impl"),
      jnei(0, 0, 2),
      ...done,
      mov(6, 0),
    ];
    const drop = [mov(1, 6), movi(2, 0), kcall("bpf_obj_drop_impl"), ...done];
    const main = [...make, callLocal(drop.length), ...drop];
    const info = functions([0, "main"], [main.length, "helping"]);
    expect(refusal(tc([...main, ...throwing], info))).toBe("EINVAL: Unreleased reference id=2 alloc_insn=2");
    expect(refusal(tc([...main, ...done], info))).toBe("");
  });

  test("one whose callback moves the packet makes pointers into it void", () => {
    const packet = [ldx(Size.W, 6, 1, 76), ldx(Size.W, 7, 1, 80), mov(8, 6), addi(8, 8)];
    // if r8 > r7 goto the end; the function; *(u8 *)(r6 + 0)
    const check = { code: 0x2d, dst: 8, src: 7, off: 2, imm: 0 };
    const main = [...packet, check, callLocal(3), ldx(Size.B, 0, 6, 0), ...done];
    const seeing = [
      stx(Size.Dw, 10, 1, -8),
      mov(3, 10),
      addi(3, -8),
      movi(1, 1),
      ...func(2, 5),
      movi(4, 0),
      call(181),
      ...done,
    ];
    const info = functions([0, "main"], [main.length, "seeing"], [main.length + seeing.length, "inner"]);
    const pull = [ldx(Size.Dw, 1, 2, 0), movi(2, 0), call(39), ...done];
    expect(refusal(tc([...main, ...seeing, ...pull], info))).toBe("EACCES: R6 invalid mem access 'scalar'");
    expect(refusal(tc([...main, ...seeing, ...done], info))).toBe("");
  });
});

describe("locks in programs that sleep", () => {
  test("what was loaded while the lock was held is not believed in after it is given back", () => {
    const lock = [...value(1, Fd.guarded), call(93), ...value(6, Fd.guarded), ldx(Size.Dw, 7, 6, 8)];
    const unlock = [...value(1, Fd.guarded), call(94)];
    const write = [jeqi(7, 0, 1), sti(Size.Dw, 7, 0, 1)];
    expect(refusal(entry([...lock, ...write, ...unlock, ...done], { sleepable: true }))).toBe("");
    expect(refusal(entry([...lock, ...unlock, ...write, ...done], { sleepable: true }))).toBe(
      "EACCES: only read is supported",
    );
    expect(refusal(entry([...lock, ...unlock, ...write, ...done]))).toBe("");
  });
});
