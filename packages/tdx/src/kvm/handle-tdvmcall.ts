import { Gpr } from "../module/gpr.js";
import { isEmulatedMsr, isWritableMsr } from "./emulated-msrs.js";
import { fatalError } from "./fatal-error.js";
import { mapGpa, type Outside } from "./map-gpa.js";
import type { Eventually } from "./ports.js";
import { HANDLED, type TdExit } from "./td-exit.js";
import type { TdVm } from "./td-vm.js";
import { decodeTdvmcall, type Tdvmcall, TdvmcallStatus } from "./tdvmcall.js";
import type { VcpuTdx } from "./vcpu-tdx.js";

/** What GetTdVmCallInfo leaf 1 has in R11: sub-functions beyond the base, here SetupEventNotifyInterrupt. */
const INFO_EVENT_NOTIFY = 1n << 1n;
const IA32_FEAT_CTL = 0x3a;
const FEAT_CTL_LOCKED = 1n;
/** -KVM_ENOSYS. */
const ENOSYS = -1000n;
const UINT64 = 0xffff_ffff_ffff_ffffn;

/** Does what a TDVMCALL asks for, and puts the answer into the vCPU's registers. Source: linux, tdx_handle_exit and handle_tdvmcall. */
export function handleTdvmcall(vm: TdVm, vcpu: VcpuTdx, vpEnterRet: bigint, outside: Outside): Eventually<TdExit> {
  const { args } = vcpu;
  const { platform } = vm;
  const { index } = vcpu;
  const call = decodeTdvmcall(args, vm.sharedBit);
  const set = (gpr: Gpr, value: bigint): TdExit => {
    args[gpr] = value & UINT64;
    return HANDLED;
  };
  const status = (value: bigint): TdExit => set(Gpr.R10, value);
  const when = <T>(value: Eventually<T>, then: (value: T) => TdExit): Eventually<TdExit> =>
    value instanceof Promise ? outside(value).then(then) : then(value);

  switch (call.kind) {
    case "refused":
      if (call.r11 !== undefined) set(Gpr.R11, call.r11);
      return status(call.status);
    case "hypercall":
      return when(platform.hypercall?.(index, call.nr, call.args) ?? ENOSYS, status);
    case "cpuid":
      for (const [k, value] of platform.cpuid(index, call.leaf, call.subleaf).entries())
        set(Gpr.R12 + k, BigInt(value >>> 0));
      return HANDLED;
    case "hlt":
      return { reason: "hlt", interruptsBlocked: call.interruptsBlocked };
    case "io":
      return when(platform.io(index, call.port, call.size, call.write, call.value), (value) =>
        call.write ? HANDLED : set(Gpr.R11, BigInt.asUintN(8 * call.size, BigInt(value))),
      );
    case "mmio":
      return when(platform.mmio(index, call.gpa, call.size, call.write, call.value), (value) =>
        call.write ? HANDLED : set(Gpr.R11, BigInt.asUintN(8 * call.size, value)),
      );
    case "rdmsr":
      return when(readMsr(vm, index, call.index), (value) =>
        value === null ? status(TdvmcallStatus.INVALID_OPERAND) : set(Gpr.R11, value),
      );
    case "wrmsr":
      return when(isWritableMsr(call.index) && platform.wrmsr(index, call.index, call.value), (taken) =>
        taken ? HANDLED : status(TdvmcallStatus.INVALID_OPERAND),
      );
    case "info":
      return info(vm, vcpu, call);
    case "map-gpa":
      return mapGpa(vm, vcpu, call, outside);
    case "get-quote":
      return when(platform.getQuote?.(index, call.gpa, call.size) ?? TdvmcallStatus.SUBFUNC_UNSUPPORTED, status);
    case "event-notify":
      return when(platform.setupEventNotify?.(index, call.vector) ?? TdvmcallStatus.SUBFUNC_UNSUPPORTED, status);
    case "fatal-error":
      return fatalError(args, vpEnterRet, vm.sharedBit);
  }
}

function readMsr({ platform }: TdVm, vcpu: number, index: number): Eventually<bigint | null> {
  if (index === IA32_FEAT_CTL) return FEAT_CTL_LOCKED;
  return isEmulatedMsr(index) ? platform.rdmsr(vcpu, index) : null;
}

function info(vm: TdVm, { args }: VcpuTdx, { leaf }: Extract<Tdvmcall, { kind: "info" }>): TdExit {
  args[Gpr.R10] = TdvmcallStatus.SUCCESS;
  args[Gpr.R11] = leaf === 1 && vm.platform.setupEventNotify !== undefined ? INFO_EVENT_NOTIFY : 0n;
  for (const gpr of [Gpr.R12, Gpr.R13, Gpr.R14]) args[gpr] = 0n;
  return HANDLED;
}
