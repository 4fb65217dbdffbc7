import { describe, expect, test } from "vitest";
import { functionsBtf, testBtf } from "./selftest-btf.js";
import {
  add,
  call,
  callLocal,
  exit,
  Fd,
  fentry,
  Id,
  jeqi,
  kfunc,
  ldx,
  map,
  mov,
  movi,
  Size,
  sti,
  stx,
  symbol,
  tracepoint,
} from "./small-kernel.js";

const done = [movi(0, 0), exit];

describe("functions of the kernel", () => {
  const task = ldx(Size.Dw, 6, 1, 0);

  test("a reference that a function lends is given back on every path", () => {
    const acquire = [task, mov(1, 6), kfunc(Id.taskAcquire)];
    const good = [...acquire, jeqi(0, 0, 2), mov(1, 0), kfunc(Id.taskRelease), ...done];
    expect(tracepoint(good).accepted).toBe(true);
    expect(tracepoint([...acquire, ...done]).log).toContain("Unreleased reference id=2 alloc_insn=2");
    const unchecked = tracepoint([...acquire, mov(1, 0), kfunc(Id.taskRelease), ...done]);
    expect(unchecked.log).toContain("Possibly NULL pointer passed to trusted arg0");
  });

  test("what is not lent cannot be given back", () => {
    expect(tracepoint([task, mov(1, 6), kfunc(Id.taskRelease), ...done]).log).toContain(
      "release kernel function bpf_task_release expects refcounted PTR_TO_BTF_ID",
    );
  });

  test("after a release the pointer is a number", () => {
    const use = [task, mov(1, 6), kfunc(Id.taskAcquire), jeqi(0, 0, 4), mov(7, 0), mov(1, 0), kfunc(Id.taskRelease)];
    expect(tracepoint([...use, ldx(Size.W, 0, 7, 0), ...done]).log).toContain("R7 invalid mem access 'scalar'");
  });

  test("RCU is locked once, and unlocked before the end", () => {
    const lock = kfunc(Id.rcuLock);
    const unlock = kfunc(Id.rcuUnlock);
    expect(fentry([lock, unlock, ...done]).accepted).toBe(true);
    expect(fentry([lock, ...done]).log).toContain("bpf_rcu_read_unlock is missing");
    expect(fentry([unlock, ...done]).log).toContain("unmatched rcu read unlock (kernel function bpf_rcu_read_unlock)");
    expect(fentry([lock, lock, ...done]).log).toContain("nested rcu read lock (kernel function bpf_rcu_read_lock)");
  });

  test("what RCU protects is not trusted after it is unlocked", () => {
    const leader = [task, kfunc(Id.rcuLock), ldx(Size.Dw, 7, 6, 24)];
    const use = [mov(2, 7), ...map(1, Fd.task), movi(3, 0), movi(4, 0), call(156)];
    const good = [...leader, ...use, kfunc(Id.rcuUnlock), ...done];
    expect(tracepoint(good, { sleepable: true }).accepted).toBe(true);
    const late = [...leader, kfunc(Id.rcuUnlock), ...use, ...done];
    expect(tracepoint(late, { sleepable: true }).log).toContain(
      "R2 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_",
    );
  });

  test("functions that are not known here are refused by name", () => {
    expect(tracepoint([kfunc(Id.arenaAlloc), ...done]).log).toContain(
      "calling kernel function bpf_arena_alloc_pages is not supported by this verifier: it is for arenas",
    );
  });

  test("a variable of which every CPU has its own is read through bpf_this_cpu_ptr", () => {
    const good = [...symbol(1, Id.perCpuInt), call(154), ldx(Size.W, 1, 0, 0), ...done];
    expect(tracepoint(good).accepted).toBe(true);
    expect(tracepoint([...symbol(1, Id.perCpuInt), ldx(Size.W, 1, 1, 0), ...done]).log).toContain(
      "access percpu memory",
    );
    const outside = [...symbol(1, Id.perCpuInt), call(154), ldx(Size.Dw, 1, 0, 0), ...done];
    expect(tracepoint(outside).log).toContain("invalid access to memory, mem_size=4 off=0 size=8");
  });
});

describe("functions of the program", () => {
  const info = (...starts: readonly number[]) => starts.map((insn, k) => ({ insn, type: k + 1 }));

  test("a static function knows its caller's numbers and writes its caller's stack", () => {
    const main = [mov(1, 10), movi(2, 5), callLocal(2), ldx(Size.Dw, 0, 10, -8), exit];
    const inner = [stx(Size.Dw, 1, 2, -8), movi(0, 0), exit];
    const { accepted, log } = fentry([...main, ...inner]);
    expect(accepted).toBe(false);
    expect(log).toContain("At program exit the register R0 has smin=5 smax=5 should have been in [0, 0]");
  });

  test("a global function is verified for any arguments, and its result is any number", () => {
    const main = [movi(1, 0), callLocal(1), exit];
    const inner = [mov(0, 1), exit];
    const programBtf = testBtf([
      { shape: { kind: "func", name: "main", proto: 3, linkage: "global" } },
      { shape: { kind: "func", name: "inner", proto: 4, linkage: "global" } },
      { shape: { kind: "proto" }, returns: 5 },
      { shape: { kind: "proto" }, params: [{ name: "x", type: 5 }], returns: 5 },
      { shape: { kind: "int", size: 4, signed: true } },
    ]);
    const { log } = fentry([...main, ...inner], { programBtf, funcInfo: info(0, 3) });
    expect(log).toContain("Func#1 ('inner') is global and assumed valid.");
    expect(log).toContain("At program exit the register R0 has unknown scalar value should have been in [0, 0]");
  });

  test("nine calls deep is too deep", () => {
    const chain = Array.from({ length: 9 }, () => [callLocal(1), exit]).flat();
    const { accepted, log } = fentry([...chain, ...done]);
    expect(accepted).toBe(false);
    expect(log).toContain("the call stack of 9 frames is too deep");
  });

  test("frames of nested calls fit in 512 bytes together", () => {
    const deep = [sti(Size.Dw, 10, -264, 0), callLocal(2), ...done, sti(Size.Dw, 10, -264, 0), ...done];
    expect(fentry(deep).log).toContain("combined stack size of 2 calls is 576. Too large");
  });

  test("a callback comes back to its helper until nothing new is learnt", () => {
    const FUNC = 4;
    const main = [
      movi(1, 100),
      { code: 0x18, dst: 2, src: FUNC, off: 0, imm: 7 },
      { code: 0, dst: 0, src: 0, off: 0, imm: 0 },
      ...[mov(3, 10), movi(4, 0), call(181), movi(0, 0), exit],
    ];
    const callback = [movi(0, 0), add(0, 0), exit];
    const btf = { programBtf: functionsBtf(["main", "each"]), funcInfo: info(0, 8) };
    expect(fentry([...main, ...callback], btf).accepted).toBe(false);
    const right = main.map((insn) => (insn.code === 0x18 ? { ...insn, imm: 6 } : insn));
    const verdict = fentry([...right, ...callback], btf);
    expect(verdict.log).not.toContain("invalid");
    expect(verdict.accepted).toBe(true);
    const bad = [movi(0, 2), exit];
    expect(fentry([...right, ...bad], btf).log).toContain(
      "At callback return the register R0 has smin=2 smax=2 should have been in [0, 1]",
    );
  });
});
