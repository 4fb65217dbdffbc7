import type { Insn } from "../../src/isa/insn.js";
import { LD_IMM64, Pseudo } from "../../src/isa/opcodes.js";
import { MapType } from "../../src/uapi/map-types.js";
import { AttachType, ProgramType } from "../../src/uapi/program-types.js";
import type { VerifierBtf } from "../../src/verifier/btf-port.js";
import { mapFields } from "../../src/verifier/map-fields.js";
import type { Verdict, VerifierMap, VerifyRequest } from "../../src/verifier/request.js";
import { verify } from "../../src/verifier/verify.js";
import { programBtf, programId } from "./kfunc-program.js";
import { testBtf } from "./selftest-btf.js";
import { kfunc } from "./small-kernel.js";
import { Types } from "./types-builder.js";

/** A kernel with the functions that tests call. */

const VOID = 0;

const buildKernel = (): {
  readonly btf: VerifierBtf;
  readonly id: (name: string) => number;
  readonly entry: number;
} => {
  const types = new Types();
  const int = types.int(4);
  const u64 = types.int(8);
  const opaque = types.pointer(VOID);
  const toStruct = (name: string, size: number): number => types.pointer(types.struct(name, size, [["first", int, 0]]));
  const task = types.pointer(types.struct("task_struct", 16, [["pid", int, 0]]));
  const skb = toStruct("__sk_buff", 192);
  toStruct("sk_buff", 232);
  toStruct("nf_hook_state", 48);
  const num = toStruct("bpf_iter_num", 8);
  const tasks = toStruct("bpf_iter_task", 24);
  const cssTasks = toStruct("bpf_iter_css_task", 8);
  const css = toStruct("cgroup_subsys_state", 8);
  const dynptr = toStruct("bpf_dynptr", 16);
  const head = toStruct("bpf_list_head", 16);
  const node = toStruct("bpf_list_node", 24);
  const root = toStruct("bpf_rb_root", 16);
  const leaf = toStruct("bpf_rb_node", 32);
  const mask = toStruct("bpf_cpumask", 8);
  const plainMask = toStruct("cpumask", 8);
  const wq = toStruct("bpf_wq", 16);
  const order = types.pointer(
    types.proto(
      [
        ["a", leaf],
        ["b", leaf],
      ],
      int,
    ),
  );
  const queued = types.pointer(types.proto([["map", opaque]], int));
  const intPointer = types.pointer(int);
  types.func(
    "bpf_iter_num_new",
    [
      ["it", num],
      ["start", int],
      ["end", int],
    ],
    int,
  );
  types.func("bpf_iter_num_next", [["it", num]], intPointer);
  types.func("bpf_iter_num_destroy", [["it", num]], VOID);
  types.func(
    "bpf_iter_task_new",
    [
      ["it", tasks],
      ["task__nullable", task],
      ["flags", int],
    ],
    int,
  );
  types.func("bpf_iter_task_next", [["it", tasks]], task);
  types.func("bpf_iter_task_destroy", [["it", tasks]], VOID);
  types.func(
    "bpf_iter_css_task_new",
    [
      ["it", cssTasks],
      ["css", css],
      ["flags", int],
    ],
    int,
  );
  types.func("bpf_task_acquire", [["p", task]], task);
  types.func("bpf_task_release", [["p", task]], VOID);
  types.func("bpf_rcu_read_lock", [], VOID);
  types.func("bpf_rcu_read_unlock", [], VOID);
  types.func("bpf_preempt_disable", [], VOID);
  types.func(
    "bpf_copy_from_user_str",
    [
      ["dst", opaque],
      ["dst__sz", int],
      ["unsafe_ptr__ign", opaque],
      ["flags", u64],
    ],
    int,
  );
  types.func(
    "bpf_dynptr_from_skb",
    [
      ["s", skb],
      ["flags", u64],
      ["ptr__uninit", dynptr],
    ],
    int,
  );
  types.func(
    "bpf_dynptr_slice",
    [
      ["p", dynptr],
      ["offset", int],
      ["buffer__opt", opaque],
      ["buffer__szk", int],
    ],
    opaque,
  );
  types.func(
    "bpf_dynptr_slice_rdwr",
    [
      ["p", dynptr],
      ["offset", int],
      ["buffer__opt", opaque],
      ["buffer__szk", int],
    ],
    opaque,
  );
  types.func("bpf_dynptr_size", [["p", dynptr]], int);
  types.func(
    "bpf_dynptr_clone",
    [
      ["p", dynptr],
      ["clone__uninit", dynptr],
    ],
    int,
  );
  types.func(
    "bpf_obj_new_impl",
    [
      ["local_type_id__k", u64],
      ["meta__ign", opaque],
    ],
    opaque,
  );
  types.func(
    "bpf_obj_drop_impl",
    [
      ["p__alloc", opaque],
      ["meta__ign", opaque],
    ],
    VOID,
  );
  types.func(
    "bpf_percpu_obj_new_impl",
    [
      ["local_type_id__k", u64],
      ["meta__ign", opaque],
    ],
    opaque,
  );
  types.func(
    "bpf_percpu_obj_drop_impl",
    [
      ["p__alloc", opaque],
      ["meta__ign", opaque],
    ],
    VOID,
  );
  types.func(
    "bpf_refcount_acquire_impl",
    [
      ["p__refcounted_kptr", opaque],
      ["meta__ign", opaque],
    ],
    opaque,
  );
  types.func(
    "bpf_list_push_front_impl",
    [
      ["head", head],
      ["node", node],
      ["meta__ign", opaque],
      ["off", u64],
    ],
    int,
  );
  types.func("bpf_list_pop_front", [["head", head]], node);
  types.func(
    "bpf_rbtree_add_impl",
    [
      ["root", root],
      ["node", leaf],
      ["less", order],
      ["meta__ign", opaque],
      ["off", u64],
    ],
    int,
  );
  types.func("bpf_rbtree_first", [["root", root]], leaf);
  types.func(
    "bpf_rbtree_remove",
    [
      ["root", root],
      ["node", leaf],
    ],
    leaf,
  );
  types.func(
    "bpf_rdonly_cast",
    [
      ["obj__ign", opaque],
      ["btf_id__k", int],
    ],
    opaque,
  );
  types.func("bpf_cast_to_kern_ctx", [["obj", opaque]], opaque);
  types.func("bpf_cpumask_create", [], mask);
  types.func("bpf_cpumask_release", [["cpumask", mask]], VOID);
  types.func("bpf_cpumask_first", [["cpumask", plainMask]], int);
  types.func("bpf_throw", [["cookie", u64]], VOID);
  types.func(
    "bpf_wq_set_callback_impl",
    [
      ["wq", wq],
      ["callback_fn", queued],
      ["flags", int],
      ["aux__ign", opaque],
    ],
    int,
  );
  types.func("bpf_session_is_return", [], int);
  types.func("crash_without_flags", [], VOID);
  const entry = types.proto(
    [
      ["task", task],
      ["flags", int],
    ],
    int,
  );
  const btf = testBtf(types.list);
  const id = (name: string): number =>
    types.list.findIndex(({ shape }) => (shape.kind === "func" || shape.kind === "struct") && shape.name === name) + 1;
  return { btf, id, entry };
};

export const { btf: kernel, id: kernelId, entry: entryProto } = buildKernel();

/** A call of one of the kernel's functions. */
export const kcall = (name: string): Insn => kfunc(kernelId(name));

const valueMap = (name: string, size: number): VerifierMap => ({
  ...{ type: MapType.Array, keySize: 4, valueSize: size, maxEntries: 1, flags: 0, name },
  fields: mapFields(programBtf, programId(name), kernel),
});

/** Maps by number; each has one value that instructions may address. */
export const Fd = { lists: 1, kptrs: 2, queue: 3, plain: 4, ring: 5, guarded: 6 } as const;
const MAPS: Readonly<Record<number, VerifierMap>> = {
  [Fd.lists]: valueMap("lists", 48),
  [Fd.kptrs]: valueMap("kptrs", 32),
  [Fd.queue]: valueMap("queue", 16),
  [Fd.plain]: valueMap("plain", 16),
  [Fd.guarded]: valueMap("guarded", 16),
  [Fd.ring]: { type: MapType.Ringbuf, keySize: 0, valueSize: 0, maxEntries: 4096, flags: 0 },
};

/** The address of a byte of a map's value. */
export const value = (dst: number, fd: number, off = 0): Insn[] => [
  { code: LD_IMM64, dst, src: Pseudo.MapValue, off: 0, imm: fd },
  { code: 0, dst: 0, src: 0, off: 0, imm: off },
];
/** The address of a function of the program, `distance` instructions behind the next. */
export const func = (dst: number, distance: number): Insn[] => [
  { code: LD_IMM64, dst, src: Pseudo.Func, off: 0, imm: distance },
  { code: 0, dst: 0, src: 0, off: 0, imm: 0 },
];

const request = (insns: readonly Insn[], more: Partial<VerifyRequest>): VerifyRequest => ({
  ...{ insns, type: ProgramType.SchedCls, maps: (fd: number) => MAPS[fd], kernelBtf: kernel, programBtf },
  ...more,
});

/** A program that sees packets. */
export const tc = (insns: readonly Insn[], more: Partial<VerifyRequest> = {}): Verdict => verify(request(insns, more));

/** A program at the entry of a function of a task and a number. */
export const entry = (insns: readonly Insn[], more: Partial<VerifyRequest> = {}): Verdict =>
  verify(
    request(insns, {
      ...{ type: ProgramType.Tracing, expectedAttachType: AttachType.TraceFentry },
      ...{ attachTo: { name: "task_function", proto: entryProto } },
      ...more,
    }),
  );

/** What the program is refused with: its error and the last line of the log that tells why; empty where it is accepted. */
export const refusal = ({ accepted, errno, log }: Verdict): string => {
  const lines = log
    .trimEnd()
    .split("\n")
    .filter((line) => !line.startsWith("processed "));
  return accepted ? "" : `${errno}: ${lines.at(-1)}`;
};
