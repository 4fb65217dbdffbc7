import type { Insn } from "../../src/isa/insn.js";
import { AluOp, CALL, Class, EXIT, JmpOp, LD_IMM64, Mode, Pseudo, Size, Source } from "../../src/isa/opcodes.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { AttachType, ProgramType } from "../../src/uapi/program-types.js";
import type { BtfMember } from "../../src/verifier/btf-port.js";
import type { Verdict, VerifierMap, VerifyRequest } from "../../src/verifier/request.js";
import { verify } from "../../src/verifier/verify.js";
import { type TestType, testBtf } from "./selftest-btf.js";

/** A kernel of a few types, and words to write programs in. */

const at = (name: string, type: number, bytes: number): BtfMember => ({ name, type, bitOffset: bytes * 8, bitSize: 0 });
const struct = (name: string, size: number, members: readonly BtfMember[]): TestType => ({
  shape: { kind: "struct", name, size },
  members,
});
const func = (name: string, proto: number): TestType => ({ shape: { kind: "func", name, proto, linkage: "static" } });
const pointer = (to: number, ...tags: string[]): TestType => ({ shape: { kind: "pointer", to, tags } });

/** Ids by place: 1 int, 2 long, 3 task_struct, 4 task *, 5 task __rcu *, 6 inode, 7 inode *, 8 file, 9 file *, 10 sock_common, 11 sock *, 12 proto. */
export const kernel = testBtf([
  { shape: { kind: "int", size: 4, signed: true } },
  { shape: { kind: "int", size: 8, signed: true } },
  struct("task_struct", 64, [
    at("pid", 1, 0),
    at("tgid", 1, 4),
    at("real_parent", 5, 8),
    at("parent", 4, 16),
    at("group_leader", 4, 24),
    at("comm", 14, 32),
  ]),
  pointer(3),
  pointer(3, "rcu"),
  struct("inode", 16, [at("i_ino", 2, 0)]),
  pointer(6),
  struct("file", 32, [at("f_inode", 7, 0), at("f_pos", 2, 8)]),
  pointer(8),
  struct("sock_common", 16, [at("skc_family", 1, 0)]),
  pointer(10),
  // void *__data first, as the types of tracepoints have it.
  {
    shape: { kind: "proto" },
    params: [
      { name: "__data", type: 0 },
      { name: "task", type: 4 },
      { name: "file", type: 9 },
    ],
    returns: 0,
  },
  {
    shape: { kind: "proto" },
    params: [
      { name: "task", type: 4 },
      { name: "flags", type: 1 },
    ],
    returns: 1,
  },
  { shape: { kind: "array", of: 1, count: 4 } },
  { shape: { kind: "proto" }, returns: 0 },
  func("bpf_rcu_read_lock", 15),
  func("bpf_rcu_read_unlock", 15),
  { shape: { kind: "proto" }, params: [{ name: "p", type: 4 }], returns: 4 },
  func("bpf_task_acquire", 18),
  { shape: { kind: "proto" }, params: [{ name: "p", type: 4 }], returns: 0 },
  func("bpf_task_release", 20),
  { shape: { kind: "other" }, perCpu: 1 },
  func("bpf_arena_alloc_pages", 15),
]);
/** Functions and variables of that kernel. */
export const Id = {
  rcuLock: 16,
  rcuUnlock: 17,
  taskAcquire: 19,
  taskRelease: 21,
  perCpuInt: 22,
  arenaAlloc: 23,
} as const;
export const TRACEPOINT_PROTO = 12;
export const FUNCTION_PROTO = 13;

export const storageMap = (type: MapType): VerifierMap => ({
  ...{ type, keySize: 4, valueSize: 8, maxEntries: 0, flags: MapFlag.NoPrealloc, fields: [] },
});
/** Maps by number. */
export const Fd = { task: 1, inode: 2, sk: 3, hash: 4, lock: 5 } as const;
const MAPS: Readonly<Record<number, VerifierMap>> = {
  [Fd.task]: storageMap(MapType.TaskStorage),
  [Fd.inode]: storageMap(MapType.InodeStorage),
  [Fd.sk]: storageMap(MapType.SkStorage),
  [Fd.hash]: { type: MapType.Hash, keySize: 4, valueSize: 8, maxEntries: 10, flags: 0, fields: [] },
  [Fd.lock]: {
    ...{ type: MapType.Array, keySize: 4, valueSize: 16, maxEntries: 1, flags: 0 },
    fields: [{ kind: "bpf_spin_lock", offset: 4, size: 4 }],
  },
};

const insn = (code: number, dst: number, src: number, off: number, imm: number): Insn => ({ code, dst, src, off, imm });
export const mov = (dst: number, src: number): Insn => insn(Class.Alu64 | AluOp.Mov | Source.X, dst, src, 0, 0);
export const movi = (dst: number, imm: number): Insn => insn(Class.Alu64 | AluOp.Mov, dst, 0, 0, imm);
export const addi = (dst: number, imm: number): Insn => insn(Class.Alu64 | AluOp.Add, dst, 0, 0, imm);
export const add = (dst: number, src: number): Insn => insn(Class.Alu64 | AluOp.Add | Source.X, dst, src, 0, 0);
export const ldx = (size: number, dst: number, src: number, off: number): Insn =>
  insn(Class.Ldx | Mode.Mem | size, dst, src, off, 0);
export const stx = (size: number, dst: number, src: number, off: number): Insn =>
  insn(Class.Stx | Mode.Mem | size, dst, src, off, 0);
export const sti = (size: number, dst: number, off: number, imm: number): Insn =>
  insn(Class.St | Mode.Mem | size, dst, 0, off, imm);
export const jeqi = (dst: number, imm: number, off: number): Insn => insn(Class.Jmp | JmpOp.Jeq, dst, 0, off, imm);
export const jnei = (dst: number, imm: number, off: number): Insn => insn(Class.Jmp | JmpOp.Jne, dst, 0, off, imm);
export const ja = (off: number): Insn => insn(Class.Jmp | JmpOp.Ja, 0, 0, off, 0);
export const call = (id: number): Insn => insn(CALL, 0, 0, 0, id);
export const kfunc = (id: number): Insn => insn(CALL, 0, 2, 0, id);
export const symbol = (dst: number, id: number): Insn[] => [
  insn(LD_IMM64, dst, Pseudo.BtfId, 0, id),
  insn(0, 0, 0, 0, 0),
];
export const callLocal = (distance: number): Insn => insn(CALL, 0, 1, 0, distance);
export const exit = insn(EXIT, 0, 0, 0, 0);
export const map = (dst: number, fd: number): Insn[] => [insn(LD_IMM64, dst, Pseudo.MapFd, 0, fd), insn(0, 0, 0, 0, 0)];
export { Size };

/** A program on a tracepoint with a task and a file. */
export const tracepoint = (insns: readonly Insn[], more: Partial<VerifyRequest> = {}): Verdict =>
  verify({
    ...{ insns, type: ProgramType.Tracing, expectedAttachType: AttachType.TraceRawTp, maps: (fd) => MAPS[fd] },
    ...{ kernelBtf: kernel, attachTo: { name: "task_opened", proto: TRACEPOINT_PROTO } },
    ...more,
  });

/** A program at the entry of a function of a task and a number. */
export const fentry = (insns: readonly Insn[], more: Partial<VerifyRequest> = {}): Verdict =>
  tracepoint(insns, {
    ...{ expectedAttachType: AttachType.TraceFentry, attachTo: { name: "task_function", proto: FUNCTION_PROTO } },
    ...more,
  });
