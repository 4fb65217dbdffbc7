import { describe, expect, test } from "vitest";
import type { Insn } from "../../src/isa/insn.js";
import { AttachType, ProgramType } from "../../src/uapi/program-types.js";
import { entry, Fd, func, kcall, kernel, kernelId, refusal, tc, value } from "./kfunc-kernel.js";
import { programId } from "./kfunc-program.js";
import { addi, call, callLocal, exit, jeqi, jnei, ldx, map, mov, movi, Size, sti, stx } from "./small-kernel.js";

const done = [movi(0, 0), exit];
const KPTR_XCHG = 194;
const RINGBUF_RESERVE_DYNPTR = 198;
const RINGBUF_DISCARD_DYNPTR = 200;
const THIS_CPU_PTR = 154;

const at = (index: number, off: number): Insn[] => [mov(index, 10), addi(index, off)];
const functions = (...named: readonly [insn: number, name: string][]) => ({
  funcInfo: named.map(([insn, name]) => ({ insn, type: programId(name) })),
});

describe("which functions of the kernel may be called", () => {
  test("each kind of program has its own", () => {
    const create = [kcall("bpf_cpumask_create"), jeqi(0, 0, 2), mov(1, 0), kcall("bpf_cpumask_release"), ...done];
    expect(refusal(entry(create))).toBe("");
    expect(refusal(tc(create))).toBe("EACCES: calling kernel function bpf_cpumask_create is not allowed");
  });

  test("raw tracepoints have the common ones", () => {
    const raw = { type: ProgramType.RawTracepoint };
    const lock = [kcall("bpf_rcu_read_lock"), kcall("bpf_rcu_read_unlock"), ...done];
    expect(refusal(tc(lock, raw))).toBe("");
    expect(refusal(tc([movi(1, 0), kcall("bpf_throw")].concat(done), raw))).toBe(
      "EACCES: calling kernel function bpf_throw is not allowed",
    );
  });

  test("those of kprobe sessions are for sessions", () => {
    const ask = [kcall("bpf_session_is_return"), ...done];
    const kprobe = { type: ProgramType.Kprobe };
    expect(refusal(tc(ask, { ...kprobe, expectedAttachType: 56 }))).toBe("");
    expect(refusal(tc(ask, kprobe))).toBe("EACCES: calling kernel function bpf_session_is_return is not allowed");
  });

  test("a function that is in no set is called by no program", () => {
    expect(refusal(tc([kcall("crash_without_flags"), ...done]))).toBe(
      "EACCES: calling kernel function crash_without_flags is not allowed",
    );
  });

  test("programs of other licenses call none", () => {
    expect(refusal(tc([kcall("bpf_rcu_read_lock"), ...done], { gpl: false }))).toBe(
      "EINVAL: cannot call kernel function from non-GPL compatible program",
    );
  });

  test("those that sleep are for programs that sleep, outside of regions", () => {
    const copy = [...at(1, -8), movi(2, 8), movi(3, 0), movi(4, 0), kcall("bpf_copy_from_user_str")];
    const sleepable = { sleepable: true };
    expect(refusal(entry([...copy, ...done], sleepable))).toBe("");
    expect(refusal(entry([...copy, ...done]))).toBe(
      "EACCES: program must be sleepable to call sleepable kfunc bpf_copy_from_user_str",
    );
    expect(refusal(entry([kcall("bpf_rcu_read_lock"), ...copy, ...done], sleepable))).toBe(
      "EACCES: kernel func bpf_copy_from_user_str is sleepable within rcu_read_lock region",
    );
    expect(refusal(entry([kcall("bpf_preempt_disable"), ...copy, ...done], sleepable))).toBe(
      "EACCES: kernel func bpf_copy_from_user_str is sleepable within non-preemptible region",
    );
  });
});

describe("arguments of functions of the kernel", () => {
  test("memory with its size is within bounds", () => {
    const copy = [...at(1, -8), movi(2, 9), movi(3, 0), movi(4, 0), kcall("bpf_copy_from_user_str"), ...done];
    const verdict = entry(copy, { sleepable: true });
    expect(refusal(verdict)).toBe("EINVAL: arg#0 arg#1 memory, len pair leads to invalid memory access");
  });

  test("a mask that is held will do where one that is only looked at is asked for", () => {
    const create = [kcall("bpf_cpumask_create"), jnei(0, 0, 2), ...done, mov(6, 0), mov(1, 6)];
    const look = [kcall("bpf_cpumask_first"), mov(1, 6), kcall("bpf_cpumask_release"), ...done];
    const { log } = entry([...create, ...look]);
    expect(log).toContain("kernel function bpf_cpumask_first args#0 expected pointer to STRUCT cpumask");
  });

  test("a pointer that may be NULL is not trusted", () => {
    const create = [kcall("bpf_cpumask_create"), mov(6, 0), mov(1, 0), kcall("bpf_cpumask_first"), ...done];
    expect(refusal(entry(create))).toBe("EACCES: Possibly NULL pointer passed to trusted arg0");
  });

  test("a type is a constant; what is cast to it can be read, and nothing more", () => {
    const cast = [movi(1, 0), movi(2, kernelId("task_struct")), kcall("bpf_rdonly_cast")];
    expect(refusal(tc([...cast, ldx(Size.W, 1, 0, 0), ...done]))).toBe("");
    expect(refusal(tc([...cast, sti(Size.W, 0, 0, 1), ...done]))).toBe("EACCES: only read is supported");
    expect(refusal(tc([...cast, mov(1, 0), kcall("bpf_task_acquire"), ...done]))).toBe(
      "EINVAL: R1 must be a rcu pointer",
    );
    expect(refusal(tc([movi(1, 0), movi(2, 1), kcall("bpf_rdonly_cast"), ...done]))).toBe(
      "EINVAL: kfunc bpf_rdonly_cast type ID argument must be of a struct",
    );
  });

  test("the context is the kernel's struct for those who ask", () => {
    expect(refusal(tc([kcall("bpf_cast_to_kern_ctx"), ldx(Size.W, 1, 0, 0), ...done]))).toBe("");
    expect(refusal(tc([movi(1, 0), kcall("bpf_cast_to_kern_ctx"), ...done]))).toBe(
      "EINVAL: arg#0 expected pointer to ctx, but got scalar",
    );
    expect(refusal(entry([kcall("bpf_cast_to_kern_ctx"), ...done]))).toContain("is not a struct");
  });
});

describe("dynptrs of packets", () => {
  const from = [movi(2, 0), ...at(3, -16), kcall("bpf_dynptr_from_skb")];
  const slice = (name: string): Insn[] => [...at(1, -16), movi(2, 0), movi(3, 0), movi(4, 8), kcall(name)];

  test("a slice is as long as was asked for, and may be NULL", () => {
    const read = [...from, ...slice("bpf_dynptr_slice"), jeqi(0, 0, 1)];
    expect(refusal(tc([...read, ldx(Size.Dw, 1, 0, 0), ...done]))).toBe("");
    expect(refusal(tc([...read, ldx(Size.Dw, 1, 0, 1), ...done]))).toBe(
      "EACCES: R0 min value is outside of the allowed memory range",
    );
    expect(refusal(tc([...from, ...slice("bpf_dynptr_slice"), ldx(Size.Dw, 1, 0, 0), ...done]))).toBe(
      "EACCES: R0 invalid mem access 'rdonly_mem_or_null'",
    );
  });

  test("a slice for reading is not written, and one for writing only where packets may be", () => {
    const store = [jeqi(0, 0, 1), sti(Size.B, 0, 0, 1), ...done];
    expect(refusal(tc([...from, ...slice("bpf_dynptr_slice"), ...store]))).toBe(
      "EACCES: R0 cannot write into rdonly_mem",
    );
    expect(refusal(tc([...from, ...slice("bpf_dynptr_slice_rdwr"), ...store]))).toBe("");
    const filter = { type: ProgramType.SocketFilter };
    expect(refusal(tc([...from, ...slice("bpf_dynptr_slice_rdwr"), ...store], filter))).toBe(
      "EINVAL: the prog does not allow writes to packet data",
    );
  });

  test("a slice is void after the packet may have moved", () => {
    const pull = [mov(6, 1), ...from, ...slice("bpf_dynptr_slice"), jnei(0, 0, 2), ...done, mov(7, 0)];
    const move = [mov(1, 6), movi(2, 0), call(39), ldx(Size.Dw, 1, 7, 0), ...done];
    expect(refusal(tc([...pull, ...move]))).toBe("EACCES: R7 invalid mem access 'scalar'");
  });

  test("what is no dynptr has no size", () => {
    expect(refusal(tc([...from, ...at(1, -16), kcall("bpf_dynptr_size"), ...done]))).toBe("");
    expect(refusal(tc([sti(Size.Dw, 10, -16, 0), ...at(1, -16), kcall("bpf_dynptr_size"), ...done]))).toBe(
      "EINVAL: Expected an initialized dynptr as arg #0",
    );
  });

  test("the record that a copy of a dynptr stands for is given back once, and slices of it go along", () => {
    const reserve = [...map(1, Fd.ring), movi(2, 64), movi(3, 0), ...at(4, -16), call(RINGBUF_RESERVE_DYNPTR)];
    const clone = [...at(1, -16), ...at(2, -32), kcall("bpf_dynptr_clone")];
    const discard = (off: number): Insn[] => [...at(1, off), movi(2, 0), call(RINGBUF_DISCARD_DYNPTR)];
    expect(refusal(tc([...reserve, ...clone, ...discard(-32), ...done]))).toBe("");
    expect(refusal(tc([...reserve, ...clone, ...discard(-32), ...discard(-16), ...done]))).toBe(
      "EINVAL: arg 1 is an unacquired reference",
    );
    const use = [mov(7, 0), ...discard(-16), jeqi(7, 0, 1), ldx(Size.Dw, 1, 7, 0), ...done];
    expect(refusal(tc([...reserve, ...slice("bpf_dynptr_slice"), ...use]))).toBe(
      "EACCES: R7 invalid mem access 'scalar'",
    );
  });

  test("a global function takes any dynptr, and only dynptrs", () => {
    const inner = [kcall("bpf_dynptr_size"), exit];
    const main = [...from, ...at(1, -16), callLocal(2), ...done];
    const info = functions([0, "main"], [main.length, "sized"]);
    expect(refusal(tc([...main, ...inner], info))).toBe("");
    const wrong = [mov(2, 10), movi(3, 0), movi(4, 0), movi(5, 0), ...at(1, -16), callLocal(2), ...done];
    const { log } = tc([...wrong, ...inner], functions([0, "main"], [wrong.length, "sized"]));
    expect(log).toContain("Expected an initialized dynptr as arg #0");
  });
});

describe("pointers that maps hold", () => {
  test("one that is not counted is read as untrusted, and stored only if it points to the right struct", () => {
    const load = [...value(6, Fd.kptrs), ldx(Size.Dw, 7, 6, 0)];
    expect(refusal(entry([...load, jeqi(7, 0, 1), stx(Size.Dw, 6, 7, 0), ...done]))).toBe("");
    expect(refusal(entry([...load, ldx(Size.W, 0, 7, 0), ...done]))).toBe(
      "EACCES: R7 invalid mem access 'untrusted_ptr_or_null_'",
    );
  });

  test("one that is counted is exchanged, not stored", () => {
    expect(refusal(entry([...value(6, Fd.kptrs), movi(7, 0), stx(Size.Dw, 6, 7, 8), ...done]))).toBe(
      "EACCES: store to referenced kptr disallowed",
    );
    const take = [...value(1, Fd.kptrs, 8), movi(2, 0), call(KPTR_XCHG)];
    const free = [jeqi(0, 0, 2), mov(1, 0), kcall("bpf_task_release")];
    expect(refusal(entry([...take, ...free, ...done]))).toBe("");
    expect(refusal(entry([...take, ...done]))).toContain("Unreleased reference");
  });

  test("what is put there is held before, and not after", () => {
    const task = [ldx(Size.Dw, 1, 1, 0), kcall("bpf_task_acquire"), jnei(0, 0, 2), ...done, mov(2, 0), mov(6, 0)];
    const put = [...value(1, Fd.kptrs, 8), call(KPTR_XCHG), jeqi(0, 0, 2), mov(1, 0), kcall("bpf_task_release")];
    expect(refusal(entry([...task, ...put, ...done]))).toBe("EINVAL: R1 must be a rcu pointer");
    const trusted = { expectedAttachType: AttachType.TraceRawTp };
    expect(refusal(entry([ldx(Size.Dw, 2, 1, 0), ...put, ...done], trusted))).toContain("R2");
  });

  test("one to an object of the program is an object that RCU keeps", () => {
    const load = [...value(6, Fd.kptrs), ldx(Size.Dw, 7, 6, 16), jeqi(7, 0, 1)];
    expect(refusal(tc([...load, sti(Size.Dw, 7, 0, 1), ...done]))).toBe("");
    expect(refusal(tc([...load, sti(Size.Dw, 7, 8, 1), ...done]))).toBe(
      "EACCES: access beyond struct value_of_plain at off 8 size 8",
    );
    const drop = [...value(6, Fd.kptrs), ldx(Size.Dw, 1, 6, 16), jeqi(1, 0, 2), movi(2, 0)];
    expect(refusal(tc([...drop, kcall("bpf_obj_drop_impl"), ...done]))).toBe(
      "EINVAL: R1 must be referenced or trusted",
    );
  });

  test("one to what every CPU has goes through the CPU", () => {
    const load = [...value(6, Fd.kptrs), ldx(Size.Dw, 1, 6, 24), jeqi(1, 0, 2)];
    const mine = [call(THIS_CPU_PTR), sti(Size.Dw, 0, 0, 1), ...done];
    expect(refusal(tc([...load, ...mine]))).toBe("");
    expect(refusal(tc([...load, ldx(Size.Dw, 0, 1, 0), movi(0, 0), ...done]))).toBe(
      "EACCES: R1 is ptr_value_of_plain access percpu memory: off=0",
    );
  });
});

describe("exceptions", () => {
  const raise = [movi(1, 0), kcall("bpf_throw")];

  test("what is thrown is what the program returns", () => {
    expect(refusal(tc([...raise, ...done]))).toBe("");
    expect(refusal(entry([movi(1, 7), kcall("bpf_throw"), ...done]))).toBe(
      "EINVAL: At program exit the register R1 has smin=7 smax=7 should have been in [0, 0]",
    );
  });

  test("nothing is held when one is thrown", () => {
    expect(refusal(tc([kcall("bpf_rcu_read_lock"), ...raise, ...done]))).toBe(
      "EINVAL: bpf_throw cannot be used inside bpf_rcu_read_lock-ed region",
    );
    const object = [movi(1, programId("plain")), movi(2, 0), kcall("bpf_obj_new_impl"), jeqi(0, 0, 2), ...raise];
    expect(refusal(tc([...object, ...done]))).toContain("EINVAL: Unreleased reference");
  });

  test("a function that catches them says what the program returns, and is not called", () => {
    const caught = [movi(0, 0), exit];
    const main = [movi(1, 7), kcall("bpf_throw"), ...done];
    const info = functions([0, "throwing"], [main.length, "caught"]);
    // Nothing but the exception leads there: R1 need not be what the program may return.
    expect(refusal(entry([...main, ...caught], info))).toBe("");
    expect(refusal(entry([...main, movi(0, 5), exit], info))).toBe(
      "EINVAL: At program exit the register R0 has smin=5 smax=5 should have been in [0, 0]",
    );
    const calling = [movi(1, 7), callLocal(2), ...done];
    expect(refusal(entry([...calling, ...caught], functions([0, "throwing"], [calling.length, "caught"])))).toBe(
      `EINVAL: insn 1 cannot call exception cb directly`,
    );
  });
});

describe("the function that catches exceptions", () => {
  const main = [movi(1, 7), kcall("bpf_throw"), ...done];
  const caught = (name: string) => functions([0, `throwing_${name}`], [main.length, `caught_${name}`]);

  test.each(["none", "two", "context"])("takes one number, and nothing else: %s", (name) => {
    expect(refusal(tc([...main, ...done], caught(name)))).toBe(
      "EINVAL: exception cb only supports single integer argument",
    );
  });
});

describe("work queues", () => {
  test("the function of a queue may sleep, and returns 0", () => {
    const main = [
      ...value(1, Fd.queue),
      ...func(2, 6),
      movi(3, 0),
      movi(4, 0),
      kcall("bpf_wq_set_callback_impl"),
      ...done,
    ];
    const sleeping = [...at(1, -8), movi(2, 8), movi(3, 0), movi(4, 0), kcall("bpf_copy_from_user_str"), ...done];
    const info = functions([0, "main"], [main.length, "inner"]);
    expect(refusal(entry([...main, ...sleeping], info))).toBe("");
    expect(refusal(entry([...main, movi(0, 1), exit], info))).toContain(
      "At async callback return the register R0 has smin=1 smax=1 should have been in [0, 0]",
    );
  });

  test("a queue is where the value says", () => {
    const wrong = [
      ...value(1, Fd.plain),
      ...func(2, 6),
      movi(3, 0),
      movi(4, 0),
      kcall("bpf_wq_set_callback_impl"),
      ...done,
    ];
    expect(refusal(entry([...wrong, ...done], functions([0, "main"], [wrong.length, "inner"])))).toBe(
      "EINVAL: map 'plain' has no valid bpf_wq",
    );
  });
});

describe("netfilter programs", () => {
  const netfilter = { type: ProgramType.Netfilter };

  test("the context has two pointers to structs of the kernel", () => {
    expect(refusal(tc([ldx(Size.Dw, 2, 1, 8), ldx(Size.W, 0, 2, 0), ...done], netfilter))).toBe("");
    expect(refusal(tc([ldx(Size.W, 2, 1, 8), ...done], netfilter))).toBe(
      "EACCES: invalid bpf_context access off=8 size=4",
    );
    expect(kernel.structByName("nf_hook_state")).toBeGreaterThan(0);
  });

  test("they drop or accept", () => {
    expect(refusal(tc([movi(0, 1), exit], netfilter))).toBe("");
    expect(refusal(tc([movi(0, 2), exit], netfilter))).toBe(
      "EINVAL: At program exit the register R0 has smin=2 smax=2 should have been in [0, 1]",
    );
  });
});
