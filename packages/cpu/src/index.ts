export { CodeCache } from "./code/cache.js";
export { type CpuidLeaf, CpuidTable, DEFAULT_CPUID } from "./cpuid.js";
export { DecodeStatus, decode, format, Insn, Kind, type Mode, type Operand } from "./decode/index.js";
export { CpuFeatureError, withFeatures } from "./features.js";
export { generateInterpreter } from "./interp/generate.js";
export type {
  ExplainedBlock,
  ExplainedEntry,
  ExplainedExit,
  ExplainedHead,
  ExplainedInstruction,
  ExplainedRegion,
  ExplainedWay,
  Explanation,
  Landing,
  RegionState,
} from "./jit/explain/explanation.js";
export { RegionExplorer } from "./jit/explain/explorer.js";
export { type CompileRegions, Jit, type JitCounts, type JitOptions } from "./jit/jit.js";
export type { ExitKind } from "./jit/observer.js";
export {
  Access,
  type ApicPort,
  type BusPort,
  type ClockPort,
  type CpuidPort,
  type CpuidResult,
  type EntropyPort,
  type HostPort,
  Licence,
  type MmuPort,
  type PagingControls,
  Status,
  type Translation,
  type VcpuPorts,
} from "./ports.js";
export type { Gfn, Gpa } from "./units.js";
export type { Activity } from "./vcpu/context/context.js";
export type { Exit } from "./vcpu/context/exit.js";
export type { VcpuHooks, Verdict } from "./vcpu/context/hooks.js";
export { loadXsave, saveXsave } from "./vcpu/helpers/extended/xsave-image.js";
export { canonical } from "./vcpu/registers/canonical.js";
export { Seg } from "./vcpu/registers/constants.js";
export type { SegmentCache } from "./vcpu/registers/segment-cache.js";
export { halvesOf, u64 } from "./vcpu/registers/u64.js";
export type { IoForm } from "./vcpu/run/current-instruction.js";
export { VcpuStateError } from "./vcpu/state/error.js";
export type { VcpuState } from "./vcpu/state/vcpu-state.js";
export { writeControlRegister } from "./vcpu/system-registers/control-registers.js";
export { isModelMsr, readMsr, writeMsr } from "./vcpu/system-registers/msr.js";
export { Vcpu, type VcpuOptions } from "./vcpu/vcpu.js";
