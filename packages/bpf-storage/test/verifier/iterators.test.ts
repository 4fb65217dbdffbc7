import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { AttachType } from "../../src/uapi/program-types.js";
import { entry, kcall, refusal, tc } from "./kfunc-kernel.js";
import { add, addi, exit, ja, jeqi, ldx, mov, movi, Size, sti } from "./small-kernel.js";

const done = [movi(0, 0), exit];
const at = (off: number): Insn[] => [mov(1, 10), addi(1, off)];
const make = [...at(-8), movi(2, 0), movi(3, 10), kcall("bpf_iter_num_new")];
const next = [...at(-8), kcall("bpf_iter_num_next")];
const destroy = [...at(-8), kcall("bpf_iter_num_destroy")];

describe("open-coded iterators", () => {
  test("one is made, asked until there is nothing left, and ended", () => {
    const loop = [...next, jeqi(0, 0, 2), ldx(Size.W, 2, 0, 0), ja(-6)];
    expect(refusal(tc([...make, ...loop, ...destroy, ...done]))).toBe("");
  });

  test("a number that differs from round to round, and on which nothing rests, does not keep the loop from ending", () => {
    const loop = [...next, jeqi(0, 0, 3), ldx(Size.W, 2, 0, 0), add(6, 2), ja(-7)];
    expect(refusal(tc([movi(6, 0), ...make, ...loop, ...destroy, ...done]))).toBe("");
  });

  test("one that is not ended is a reference that is left", () => {
    expect(refusal(tc([...make, ...done]))).toBe("EINVAL: Unreleased reference id=1 alloc_insn=4");
  });

  test("what was never made, or was ended, cannot be asked", () => {
    const expected = "EINVAL: expected an initialized iter_num as arg #0";
    expect(refusal(tc([sti(Size.Dw, 10, -8, 0), ...next, ...done]))).toBe(expected);
    expect(refusal(tc([...make, ...destroy, ...next, ...done]))).toBe(expected);
  });

  test("one is not made twice", () => {
    expect(refusal(tc([...make, ...make, ...done]))).toBe("EINVAL: expected uninitialized iter_num as arg #0");
  });

  test("a store over it makes it one that cannot be ended", () => {
    expect(refusal(tc([...make, sti(Size.B, 10, -8, 0), ...destroy, ...done]))).toBe(
      "EINVAL: expected an initialized iter_num as arg #0",
    );
  });

  test("the program may not look into it", () => {
    expect(refusal(tc([...make, ldx(Size.Dw, 0, 10, -8), ...destroy, ...done]))).toBe(
      "EACCES: invalid read from stack off -8+0 size 8",
    );
  });

  test("an element is NULL where there is none, and goes when the iterator is ended", () => {
    expect(refusal(tc([...make, ...next, mov(6, 0), ...destroy, ldx(Size.W, 0, 6, 0), ...done]))).toBe(
      "EACCES: R6 invalid mem access 'scalar'",
    );
    expect(refusal(tc([...make, ...next, ldx(Size.W, 2, 0, 0), ...destroy, ...done]))).toBe(
      "EACCES: R0 invalid mem access 'scalar'",
    );
  });

  test("a loop that goes on where nothing is left does not end", () => {
    const verdict = tc([...make, ...next, ja(-4)]);
    expect(verdict.errno).toBe("EINVAL");
    expect(verdict.log).toContain("infinite loop detected");
  });

  test("it is on the stack, aligned, and as long as its struct", () => {
    expect(refusal(tc([movi(1, 0), kcall("bpf_iter_num_next"), ...done]))).toBe(
      "EINVAL: arg#0 expected pointer to an iterator on stack",
    );
    expect(refusal(tc([...at(-12), movi(2, 0), movi(3, 1), kcall("bpf_iter_num_new"), ...done]))).toBe(
      "EINVAL: cannot pass in iter at an offset=-12",
    );
    expect(refusal(entry([...at(-8), movi(2, 0), movi(3, 0), kcall("bpf_iter_task_new"), ...done]))).toBe(
      "EINVAL: cannot pass in iter at an offset=-8",
    );
  });

  test("what shows objects that RCU protects is asked while RCU is locked", () => {
    const tasks = [...at(-24), movi(2, 0), movi(3, 0), kcall("bpf_iter_task_new")];
    const ask = [...at(-24), kcall("bpf_iter_task_next")];
    const end = [...at(-24), kcall("bpf_iter_task_destroy")];
    const sleepable = { sleepable: true };
    expect(refusal(entry([...tasks, ...ask, ...end, ...done]))).toBe("");
    expect(refusal(entry([...tasks, ...ask, ...end, ...done], sleepable))).toBe(
      "EPROTO: expected an RCU CS when using bpf_iter_task_next",
    );
    const locked = [kcall("bpf_rcu_read_lock"), ...tasks, ...ask];
    const unlock = kcall("bpf_rcu_read_unlock");
    expect(refusal(entry([...locked, ...end, unlock, ...done], sleepable))).toBe("");
    expect(refusal(entry([...locked, unlock, ...ask, ...done], sleepable))).toBe(
      "EPROTO: expected an RCU CS when using bpf_iter_task_next",
    );
  });

  test("tasks of a cgroup are shown to programs that cannot hold their lock", () => {
    const css = [...at(-8), ldx(Size.Dw, 2, 6, 0), movi(3, 0), kcall("bpf_iter_css_task_new"), ...done];
    expect(refusal(entry([mov(6, 1), ...css]))).toBe(
      "EINVAL: css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs",
    );
    const iterator = entry([mov(6, 1), ...css], { expectedAttachType: AttachType.TraceIter });
    expect(refusal(iterator)).toContain(
      "args#1 expected pointer to STRUCT cgroup_subsys_state but R2 has a pointer to",
    );
  });
});
