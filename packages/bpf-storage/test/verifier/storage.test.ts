import { describe, expect, test } from "vitest";
import { MODE_MASK } from "../../src/isa/opcodes.js";
import { MapType } from "../../src/uapi/map-types.js";
import { PROBE_MEM } from "../../src/verifier/fixup.js";
import { mapFields } from "../../src/verifier/map-fields.js";
import {
  addi,
  call,
  exit,
  Fd,
  fentry,
  jeqi,
  kernel,
  ldx,
  map,
  mov,
  movi,
  Size,
  sti,
  storageMap,
  stx,
  tracepoint,
} from "./small-kernel.js";

const GET = 156;
const DELETE = 157;
const CURRENT = 158;

/** `bpf_task_storage_get(&map, task in R2, value in R3, flags)`, and a store to what it gives. */
const getAndStore = [movi(3, 0), movi(4, 1), call(GET), jeqi(0, 0, 1), sti(Size.Dw, 0, 0, 7), movi(0, 0), exit];

describe("storage helpers", () => {
  test("the current task is a task, and its storage is checked for NULL before it is used", () => {
    const start = [call(CURRENT), mov(2, 0), ...map(1, Fd.task)];
    expect(tracepoint([...start, ...getAndStore]).accepted).toBe(true);
    const unchecked = tracepoint([
      ...start,
      movi(3, 0),
      movi(4, 0),
      call(GET),
      sti(Size.Dw, 0, 0, 7),
      movi(0, 0),
      exit,
    ]);
    expect(unchecked.accepted).toBe(false);
    expect(unchecked.log).toContain("R0 invalid mem access 'map_value_or_null'");
  });

  test("the task of a tracepoint may own storage, and so may one whose argument is a member of it", () => {
    const { accepted, log } = tracepoint([ldx(Size.Dw, 2, 1, 0), ...map(1, Fd.task), ...getAndStore]);
    expect(log).toContain("func 'task_opened' arg0 has btf_id 3 type STRUCT 'task_struct'");
    expect(accepted).toBe(true);
  });

  test("a constant NULL is accepted as owner (H1)", () => {
    expect(tracepoint([movi(2, 0), ...map(1, Fd.task), ...getAndStore]).accepted).toBe(true);
  });

  test("an owner of another struct is refused", () => {
    const { accepted, log } = tracepoint([ldx(Size.Dw, 2, 1, 8), ...map(1, Fd.task), ...getAndStore]);
    expect(accepted).toBe(false);
    expect(log).toContain("R2 is of type file but task_struct is expected");
  });

  test("a number is refused as owner, in the kernel's words", () => {
    const { log, errno } = tracepoint([movi(2, 5), ...map(1, Fd.task), ...getAndStore]);
    expect(log).toContain("R2 type=scalar expected=ptr_, trusted_ptr_, rcu_ptr_");
    expect(errno).toBe("EACCES");
  });

  test("an address past the start of the struct is no owner", () => {
    const { accepted } = tracepoint([ldx(Size.Dw, 2, 1, 0), addi(2, 8), ...map(1, Fd.task), ...getAndStore]);
    expect(accepted).toBe(false);
  });

  test("task storage helpers take no other map, and others take no task storage map (H6)", () => {
    const wrong = tracepoint([call(CURRENT), mov(2, 0), ...map(1, Fd.hash), ...getAndStore]);
    expect(wrong.log).toContain("cannot pass map_type 1 into func bpf_task_storage_get#156");
    const lookup = [sti(Size.W, 10, -4, 0), mov(2, 10), addi(2, -4), ...map(1, Fd.task), call(1), movi(0, 0), exit];
    expect(tracepoint(lookup).log).toContain("cannot pass map_type 29 into func bpf_map_lookup_elem#1");
  });

  test("the initial value is memory of the value's size (H2)", () => {
    const start = [call(CURRENT), mov(2, 0), ...map(1, Fd.task), sti(Size.Dw, 10, -8, 0), mov(3, 10)];
    const rest = [movi(4, 1), call(GET), movi(0, 0), exit];
    expect(tracepoint([...start, addi(3, -8), ...rest]).accepted).toBe(true);
    const short = tracepoint([...start, addi(3, -4), ...rest]);
    expect(short.log).toContain("invalid indirect access to stack R3 off=-4 size=8");
  });

  test("delete takes the map and the owner", () => {
    expect(tracepoint([call(CURRENT), mov(2, 0), ...map(1, Fd.task), call(DELETE), movi(0, 0), exit]).accepted).toBe(
      true,
    );
    expect(tracepoint([movi(2, 0), ...map(1, Fd.task), call(DELETE), movi(0, 0), exit]).accepted).toBe(true);
  });

  test("a pointer that a value spills and fills stays an owner", () => {
    const spill = [call(CURRENT), stx(Size.Dw, 10, 0, -8), ldx(Size.Dw, 2, 10, -8), ...map(1, Fd.task)];
    expect(tracepoint([...spill, ...getAndStore]).accepted).toBe(true);
  });

  test("values are written within their size", () => {
    const start = [call(CURRENT), mov(2, 0), ...map(1, Fd.task), movi(3, 0), movi(4, 1), call(GET), jeqi(0, 0, 1)];
    const { log } = tracepoint([...start, sti(Size.Dw, 0, 8, 7), movi(0, 0), exit]);
    expect(log).toContain("invalid access to map value, value_size=8 off=8 size=8");
  });

  test("calls of sleepable programs may sleep to allocate (H5)", () => {
    const insns = [call(CURRENT), mov(2, 0), ...map(1, Fd.task), ...getAndStore];
    expect(fentry(insns, { sleepable: true }).sleepingAllocations).toEqual([6]);
    expect(fentry(insns).sleepingAllocations).toEqual([]);
  });

  test("sk storage is refused in programs on its own functions (H4)", () => {
    const insns = [movi(2, 0), ...map(1, Fd.sk), movi(3, 0), movi(4, 0), call(107), movi(0, 0), exit];
    expect(fentry(insns).accepted).toBe(true);
    const own = fentry(insns, { attachTo: { name: "bpf_sk_storage_free", proto: 13 } });
    expect(own.log).toContain("helper call is not allowed in probe");
  });

  test("socket filters have no task storage", () => {
    const { log } = tracepoint([...map(1, Fd.task), movi(2, 0), ...getAndStore], { type: 1, expectedAttachType: 0 });
    expect(log).toContain("program of this type cannot use helper bpf_task_storage_get#156");
  });
});

describe("pointers to structs of the kernel", () => {
  const task = ldx(Size.Dw, 2, 1, 0);

  test("members are loaded by loads that may fault, which the fix-up marks", () => {
    const { insns, accepted } = tracepoint([task, ldx(Size.W, 0, 2, 4), movi(0, 0), exit]);
    expect(accepted).toBe(true);
    expect((insns[1]?.code ?? 0) & MODE_MASK).toBe(PROBE_MEM);
    expect((insns[0]?.code ?? 0) & MODE_MASK).not.toBe(PROBE_MEM);
  });

  test("a member that RCU protects may own storage, one that nothing protects may not", () => {
    const leader = [task, ldx(Size.Dw, 2, 2, 24), ...map(1, Fd.task), ...getAndStore];
    expect(tracepoint(leader).accepted).toBe(true);
    const sleeping = fentry([task, ldx(Size.Dw, 2, 2, 16), ...map(1, Fd.task), ...getAndStore]);
    expect(sleeping.accepted).toBe(true);
    const untrusted = tracepoint([task, ldx(Size.Dw, 2, 2, 16), ...map(1, Fd.task), ...getAndStore], {
      sleepable: true,
    });
    expect(untrusted.log).toContain("R2 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_");
  });

  test("stores are refused", () => {
    expect(tracepoint([task, sti(Size.W, 2, 0, 1), movi(0, 0), exit]).log).toContain("only read is supported");
  });

  test("loads past the struct, across members and of parts of pointers are refused", () => {
    expect(tracepoint([task, ldx(Size.Dw, 0, 2, 64), movi(0, 0), exit]).log).toContain(
      "access beyond struct task_struct at off 64 size 8",
    );
    expect(tracepoint([task, ldx(Size.Dw, 0, 2, 0), movi(0, 0), exit]).log).toContain(
      "access beyond the end of member pid (mend:4) in struct task_struct with off 0 size 8",
    );
    expect(tracepoint([task, ldx(Size.W, 0, 2, 8), movi(0, 0), exit]).log).toContain(
      "cannot access ptr member real_parent with moff 8 in struct task_struct with off 8 size 4",
    );
  });

  test("arguments that a function does not have are refused", () => {
    expect(fentry([ldx(Size.Dw, 2, 1, 16), movi(0, 0), exit]).log).toContain(
      "func 'task_function' doesn't have 3-th argument",
    );
  });

  test("fentry programs return 0", () => {
    expect(fentry([movi(0, 1), exit]).log).toContain(
      "At program exit the register R0 has smin=1 smax=1 should have been in [0, 0]",
    );
  });
});

describe("fields of values", () => {
  test("pointers with tags are found with what they point to", () => {
    const fields = mapFields(kernel, 3, kernel);
    expect(fields).toEqual([]);
    expect(storageMap(MapType.TaskStorage).fields).toEqual([]);
  });
});
