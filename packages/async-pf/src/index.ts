export {
  ApfArea,
  ApfReason,
  ASYNC_PF_PER_VCPU,
  AsyncPfEnable,
  HYPERVISOR_CALLBACK_VECTOR,
  KvmFeature,
  MSR_KVM_ASYNC_PF_ACK,
  MSR_KVM_ASYNC_PF_EN,
  MSR_KVM_ASYNC_PF_INT,
  type Offer,
  offeredFeatures,
  WAKE_ALL,
} from "./abi.js";
export { AsyncPfError, type AsyncPfErrorCode, FetchError } from "./errors.js";
export type { Era } from "./guest/era.js";
export {
  type FaultOutcome,
  GuestAsyncPf,
  type GuestAsyncPfDesc,
  type PageFault,
  type WakeOutcome,
} from "./guest/guest-async-pf.js";
export { GuestPanic, type PanicCode } from "./guest/panic.js";
export type { GuestPorts } from "./guest/ports.js";
export type { NewNode, SleepNode } from "./guest/sleepers.js";
export type { GuestAsyncPfState } from "./guest/state.js";
export type { LocalApicPort, ProcessorPort, ResidencyPort, VcpuPorts } from "./host/ports.js";
export type { VmAsyncPfState } from "./host/state.js";
export type { MissDecision, VcpuAsyncPf, VcpuAsyncPfState, VcpuRunState } from "./host/vcpu-async-pf.js";
export { VmAsyncPf, type VmAsyncPfDesc } from "./host/vm-async-pf.js";
export type { GuestWords } from "./words.js";
