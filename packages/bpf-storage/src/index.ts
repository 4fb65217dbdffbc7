export { Btf } from "./btf/btf.js";
export { BtfKind } from "./btf/kinds.js";
export { type FoundMember, findMember } from "./btf/member.js";
export { type ConformanceCase, runConformance } from "./engine/conformance.js";
export { type Fault, type FaultKind, KERNEL_HIGH } from "./engine/engine.js";
export { BpfError, ERRNO, type Errno } from "./errors.js";
export { decodeInsns, encodeInsns, type Insn } from "./isa/insn.js";
export { type DumpedElement, dumpMap } from "./maps/dump.js";
export type { BpfMap, MapDesc, Status, ValueFields } from "./maps/map.js";
export { RingbufMap } from "./maps/ringbuf.js";
export { Arena, type ArenaDesc } from "./memory/arena.js";
export { ObjectError } from "./object/errors.js";
export { loadObject } from "./object/load.js";
export type { BpfObject, ObjectProgram } from "./object/object.js";
export { type Context, makeContext } from "./runtime/context.js";
export type { Pair, RunningTask, RuntimeHost } from "./runtime/host.js";
export { type InsnsDesc, loadInsns } from "./runtime/load-insns.js";
export {
  coreTarget,
  type LoadedObject,
  type LoadedProgram,
  loadInTurns,
  loadInto,
  openObject,
  prepareProgram,
  type TargetSystem,
} from "./runtime/load-object.js";
export { BpfProgram, type ProgramDesc } from "./runtime/program.js";
export { type NamedKind, PROGRAM_KINDS, programKind } from "./runtime/program-names.js";
export { BpfRuntime, type LoadDesc, type RuntimeDesc } from "./runtime/runtime.js";
export { type ObjectContext, requestOf, VerifierError } from "./runtime/verify-program.js";
export type { Owners } from "./storage/owners.js";
export type { Generation } from "./storage/storage-helpers.js";
export { StorageMap } from "./storage/storage-map.js";
export { MapFlag, MapType, UpdateFlag } from "./uapi/map-types.js";
export { AttachType, ProgramType } from "./uapi/program-types.js";
export type { SubprogramInfo, Verdict, VerifierMap, VerifyRequest } from "./verifier/request.js";
export { verify, verifying } from "./verifier/verify.js";
export { finish, inTurns, type Work } from "./work.js";
