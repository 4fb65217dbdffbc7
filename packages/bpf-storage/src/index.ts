export { Btf } from "./btf/btf.js";
export { BtfKind, IntEncoding, kindName, LAYOUT as BTF_LAYOUT, TYPE_SIZE as BTF_TYPE_SIZE } from "./btf/kinds.js";
export { type FoundMember, findMember } from "./btf/member.js";
export { sizeOf } from "./btf/size.js";
export type { BtfType } from "./btf/types.js";
export { type ConformanceCase, runConformance } from "./engine/conformance.js";
export { type Fault, type FaultKind, KERNEL_HIGH } from "./engine/engine.js";
export { BpfError, ERRNO, type Errno } from "./errors.js";
export { decodeInsns, encodeInsns, type Insn } from "./isa/insn.js";
export type { Descriptors, HeldObject, HeldProgram, TailCallKind } from "./maps/descriptors.js";
export { type DumpedElement, dumpMap, isPerCpu } from "./maps/dump.js";
export type { BpfMap, MapDesc, MapHost, SpecialField, Status, SystemElements, ValueFields } from "./maps/map.js";
export { ProgArrayMap } from "./maps/prog-array.js";
export { RingbufMap } from "./maps/ringbuf.js";
export { systemLookup, systemTake, systemUpdate, systemValueSize } from "./maps/system.js";
export { Arena, type ArenaDesc } from "./memory/arena.js";
export { ObjectError } from "./object/errors.js";
export { loadObject } from "./object/load.js";
export type { BpfObject, ObjectProgram } from "./object/object.js";
export { type Context, makeContext } from "./runtime/context.js";
export type { Pair, References, RunningTask, RuntimeHost } from "./runtime/host.js";
export { type InsnsDesc, loadInsns } from "./runtime/load-insns.js";
export {
  type Choice,
  coreTarget,
  type LoadedObject,
  type LoadedProgram,
  loadInTurns,
  loadInto,
  openObject,
  prepareProgram,
  type TargetSystem,
} from "./runtime/load-object.js";
export { BpfProgram, type ObjectLayout, type ProgramDesc, type TraceInfo } from "./runtime/program.js";
export { type NamedKind, PROGRAM_KINDS, programKind } from "./runtime/program-names.js";
export { BpfRuntime, type LoadDesc, type RuntimeDesc } from "./runtime/runtime.js";
export { type ObjectContext, requestOf, requestOfKind, VerifierError } from "./runtime/verify-program.js";
export type { Owners } from "./storage/owners.js";
export type { Generation } from "./storage/storage-helpers.js";
export { StorageMap } from "./storage/storage-map.js";
export type { Attachment, AttachPoint, AttachPort } from "./syscall/attach-point.js";
export { BpfSyscalls } from "./syscall/bpf-syscalls.js";
export { Command } from "./syscall/commands.js";
export type { Access, BpfFile, SyscallObject } from "./syscall/file.js";
export type { Capability, SyscallHost } from "./syscall/host.js";
export type { MapMapping, MappedPart, MapRequest } from "./syscall/map-memory.js";
export { PerfRing } from "./syscall/perf-ring.js";
export { tagOf } from "./syscall/program-maps.js";
export type { UserPort } from "./syscall/user-memory.js";
export { MapFlag, MapType, UpdateFlag } from "./uapi/map-types.js";
export { AttachType, ProgramType } from "./uapi/program-types.js";
export { disassemble } from "./verifier/disassemble.js";
export type { MapField, SubprogramInfo, Verdict, VerifierMap, VerifyRequest } from "./verifier/request.js";
export { verify, verifying } from "./verifier/verify.js";
export { finish, inTurns, type Work } from "./work.js";
