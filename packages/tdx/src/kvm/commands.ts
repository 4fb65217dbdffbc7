import type { CpuidEntry } from "./cpuid-entry.js";
import { KvmTdxError } from "./errors.js";
import type { InitVm } from "./td-params.js";

/** enum kvm_tdx_cmd_id: sub-commands of KVM_MEMORY_ENCRYPT_OP. Source: linux, arch/x86/include/uapi/asm/kvm.h. */
export enum TdxCmdId {
  Capabilities = 0,
  InitVm = 1,
  InitVcpu = 2,
  InitMemRegion = 3,
  FinalizeVm = 4,
  GetCpuid = 5,
}

/** KVM_TDX_MEASURE_MEMORY_REGION, a flag of INIT_MEM_REGION. */
export const MEASURE_MEMORY_REGION = 1;

/** struct kvm_tdx_cmd. */
interface Cmd<Id extends TdxCmdId, Data> {
  readonly id: Id;
  /** 0 if left out. */
  readonly flags?: number;
  /** Null where the process gave no memory: EFAULT. */
  readonly data: Data;
  /** 0 on input, or left out; what the TDX module said, where that is of use, on output. */
  hwError?: bigint;
}

/** struct kvm_tdx_capabilities. */
export interface TdxCapabilities {
  readonly supportedAttrs: bigint;
  readonly supportedXfam: bigint;
  /** What TDVMCALL GetTdVmCallInfo may say that the process does; bit 1: SetupEventNotifyInterrupt. */
  readonly userTdvmcallinfo1R11: bigint;
  /** Bits of CPUID that INIT_VM takes. */
  readonly cpuid: readonly CpuidEntry[];
}

/** Room for CPUID entries; `nent` says how many there are, or would have been (E2BIG of GET_CPUID). */
export interface CpuidBuffer {
  nent: number;
  entries?: readonly CpuidEntry[];
}

/** struct kvm_tdx_init_mem_region: moves on with every page that is done, also if a later one fails. */
export interface MemRegion {
  /** User address of the content; 0 if the guest's pages have it already, which only memory that is converted in place can. */
  sourceAddr: number;
  /** Private, without the shared bit. */
  gpa: number;
  nrPages: number;
}

export type TdxCmd =
  | Cmd<TdxCmdId.Capabilities, { readonly nent: number; capabilities?: TdxCapabilities } | null>
  | Cmd<TdxCmdId.InitVm, InitVm | null>
  /** What the vCPU gets in RCX: where the TD HOB is. */
  | Cmd<TdxCmdId.InitVcpu, bigint>
  | Cmd<TdxCmdId.InitMemRegion, MemRegion | null>
  | Cmd<TdxCmdId.FinalizeVm, null>
  | Cmd<TdxCmdId.GetCpuid, CpuidBuffer | null>;

export type CmdOf<Id extends TdxCmdId> = Extract<TdxCmd, { readonly id: Id }>;

/** tdx_get_cmd: the process leaves hw_error 0. @throws KvmTdxError EINVAL */
export function checkHwError(cmd: TdxCmd): void {
  if ((cmd.hwError ?? 0n) !== 0n) throw new KvmTdxError("EINVAL", "hw_error is not 0: it is for what the module says");
}
