export { CodeCache } from "./code/cache.js";
export { type CpuidLeaf, CpuidTable, DEFAULT_CPUID } from "./cpuid.js";
export { DecodeStatus, decode, format, Insn, Kind, type Mode, type Operand } from "./decode/index.js";
export { CpuFeatureError, withFeatures } from "./features.js";
export { generateInterpreter } from "./interp/generate.js";
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
export { canonical } from "./vcpu/canonical.js";
export { Seg } from "./vcpu/constants.js";
export type { Exit } from "./vcpu/exit.js";
export { writeControlRegister } from "./vcpu/helpers/control-registers.js";
export type { VcpuHooks, Verdict } from "./vcpu/hooks.js";
export { readMsr, writeMsr } from "./vcpu/msr.js";
export type { SegmentCache } from "./vcpu/segments.js";
export { halvesOf, u64 } from "./vcpu/u64.js";
export { Vcpu, type VcpuOptions } from "./vcpu/vcpu.js";
export { loadXsave, saveXsave } from "./vcpu/xsave-image.js";
