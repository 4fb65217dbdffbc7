import { Gpr } from "../module/gpr.js";
import type { ConvertResult } from "./ports.js";
import { HANDLED, type TdExit } from "./td-exit.js";
import type { TdVm } from "./td-vm.js";
import { TdvmcallStatus } from "./tdvmcall.js";
import type { VcpuTdx } from "./vcpu-tdx.js";

/** Bytes that are converted at a time: between them, the guest can have its interrupts. Linux: TDX_MAP_GPA_MAX_LEN. */
const CHUNK = 2 ** 21;

/** Waits outside of vcpu->mutex. */
export type Outside = <T>(wait: Promise<T>) => Promise<T>;

/**
 * TDVMCALL MapGPA, chunk by chunk. If something else is to do, RETRY with the address that is next in R11, the shared bit as the guest gave it.
 * Source: linux, tdx_map_gpa, tdx_complete_vmcall_map_gpa.
 */
export function mapGpa(
  vm: TdVm,
  vcpu: VcpuTdx,
  { start, size, toPrivate }: { readonly start: number; readonly size: number; readonly toPrivate: boolean },
  outside: Outside,
): TdExit | Promise<TdExit> {
  const end = start + size;
  const convert = (next: number): ConvertResult | Promise<ConvertResult> => {
    const gpa = toPrivate ? next : next - vm.sharedBit;
    return vm.platform.mapGpaRange(vcpu.index, gpa, Math.min(CHUNK, end - next), toPrivate);
  };
  /** What comes after the chunk at `next`: the next one, or null for the guest. */
  const after = (next: number, result: ConvertResult): number | null => {
    if (result === "EINVAL") return stop(next, TdvmcallStatus.INVALID_OPERAND);
    if (result === "EAGAIN") return stop(next, TdvmcallStatus.RETRY);
    const then = next + CHUNK;
    if (then >= end) {
      vcpu.args[Gpr.R10] = TdvmcallStatus.SUCCESS;
      return null;
    }
    return vm.platform.hasEvents(vcpu.index) ? stop(then, TdvmcallStatus.RETRY) : then;
  };
  const stop = (at: number, status: bigint): null => {
    vcpu.args[Gpr.R10] = status;
    vcpu.args[Gpr.R11] = BigInt(at);
    return null;
  };
  const goOn = async (from: number, first: Promise<ConvertResult>): Promise<TdExit> => {
    let next = after(from, await outside(first));
    while (next !== null) {
      const at = next;
      next = after(at, await outside(Promise.resolve(convert(at))));
    }
    return HANDLED;
  };
  for (let next: number | null = start; next !== null; ) {
    const result = convert(next);
    if (result instanceof Promise) return goOn(next, result);
    next = after(next, result);
  }
  return HANDLED;
}
