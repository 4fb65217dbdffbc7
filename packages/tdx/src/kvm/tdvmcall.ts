/** What a TDVMCALL asks for. Source: Guest-Hypervisor Communication Interface for Intel TDX 1.0/1.5; linux, arch/x86/kvm/vmx/tdx.c. */
import { Gpr, type Gprs } from "../module/gpr.js";

/** What R10 is when the guest goes on. */
export const TdvmcallStatus = {
  SUCCESS: 0n,
  RETRY: 1n,
  INVALID_OPERAND: 0x8000_0000_0000_0000n,
  GPA_INUSE: 0x8000_0000_0000_0001n,
  ALIGN_ERROR: 0x8000_0000_0000_0002n,
  SUBFUNC_UNSUPPORTED: 0x8000_0000_0000_0003n,
} as const;

/** Sub-functions, R11. Those below 0x10000 are instructions, by their VMX exit reason. */
export enum TdvmcallLeaf {
  Cpuid = 10,
  Hlt = 12,
  Io = 30,
  Rdmsr = 31,
  Wrmsr = 32,
  Mmio = 48,
  GetTdVmCallInfo = 0x10000,
  MapGpa = 0x10001,
  GetQuote = 0x10002,
  ReportFatalError = 0x10003,
  SetupEventNotifyInterrupt = 0x10004,
}

/** A request whose operands are what they may be. Guest-physical addresses have no shared bit unless said so. */
export type Tdvmcall =
  /** R10 was not 0: a call of KVM's own. */
  | { readonly kind: "hypercall"; readonly nr: bigint; readonly args: readonly bigint[] }
  | { readonly kind: "cpuid"; readonly leaf: number; readonly subleaf: number }
  | { readonly kind: "hlt"; readonly interruptsBlocked: boolean }
  | {
      readonly kind: "io";
      readonly port: number;
      readonly size: number;
      readonly write: boolean;
      readonly value: number;
    }
  | { readonly kind: "rdmsr"; readonly index: number }
  | { readonly kind: "wrmsr"; readonly index: number; readonly value: bigint }
  | {
      readonly kind: "mmio";
      readonly gpa: number;
      readonly size: number;
      readonly write: boolean;
      readonly value: bigint;
    }
  | { readonly kind: "info"; readonly leaf: number }
  /** From `start` on, `size` bytes, both multiples of 4096; `start` as the guest gave it, the shared bit included. */
  | { readonly kind: "map-gpa"; readonly start: number; readonly size: number; readonly toPrivate: boolean }
  | { readonly kind: "get-quote"; readonly gpa: number; readonly size: bigint }
  | { readonly kind: "fatal-error" }
  | { readonly kind: "event-notify"; readonly vector: number }
  /** It cannot be: R10 becomes `status`, and R11 what the guest gave as an address if there is one. */
  | { readonly kind: "refused"; readonly status: bigint; readonly r11?: bigint };

const PAGE = 4096n;
const LOW_32 = 0xffff_ffffn;
const SHORT = 0xffffn;
/** What R11 counts as that no sub-function can have. */
const UNKNOWN = -1;
const MIN_VECTOR = 32n;
const MAX_VECTOR = 255n;

const refused = (status: bigint, r11?: bigint): Tdvmcall => ({
  kind: "refused",
  status,
  ...(r11 === undefined ? {} : { r11 }),
});
const invalid = (r11?: bigint): Tdvmcall => refused(TdvmcallStatus.INVALID_OPERAND, r11);

/**
 * Takes the registers of a TDVMCALL apart; the guest may have put anything there.
 * @param sharedBit bit 47 or 51, as a number
 */
export function decodeTdvmcall(regs: Gprs, sharedBit: number): Tdvmcall {
  const reg = (gpr: Gpr): bigint => regs[gpr] as bigint;
  const r12 = reg(Gpr.R12);
  if (reg(Gpr.R10) !== 0n)
    return { kind: "hypercall", nr: reg(Gpr.R10), args: [reg(Gpr.R11), r12, reg(Gpr.R13), reg(Gpr.R14)] };
  const r11 = reg(Gpr.R11);
  switch (r11 <= LOW_32 ? Number(r11) : UNKNOWN) {
    case TdvmcallLeaf.Cpuid:
      return { kind: "cpuid", leaf: Number(r12 & LOW_32), subleaf: Number(reg(Gpr.R13) & LOW_32) };
    case TdvmcallLeaf.Hlt:
      return { kind: "hlt", interruptsBlocked: r12 !== 0n };
    case TdvmcallLeaf.Io:
      return decodeIo(r12, reg(Gpr.R13), reg(Gpr.R14), reg(Gpr.R15));
    case TdvmcallLeaf.Rdmsr:
      return { kind: "rdmsr", index: Number(r12 & LOW_32) };
    case TdvmcallLeaf.Wrmsr:
      return { kind: "wrmsr", index: Number(r12 & LOW_32), value: reg(Gpr.R13) };
    case TdvmcallLeaf.Mmio:
      return decodeMmio(r12, reg(Gpr.R13), reg(Gpr.R14), reg(Gpr.R15), BigInt(sharedBit));
    case TdvmcallLeaf.GetTdVmCallInfo:
      return r12 <= 1n ? { kind: "info", leaf: Number(r12) } : invalid();
    case TdvmcallLeaf.MapGpa:
      return decodeMapGpa(r12, reg(Gpr.R13), BigInt(sharedBit));
    case TdvmcallLeaf.GetQuote:
      return decodeGetQuote(r12, reg(Gpr.R13), BigInt(sharedBit));
    case TdvmcallLeaf.ReportFatalError:
      return { kind: "fatal-error" };
    case TdvmcallLeaf.SetupEventNotifyInterrupt:
      return r12 >= MIN_VECTOR && r12 <= MAX_VECTOR ? { kind: "event-notify", vector: Number(r12) } : invalid();
    default:
      return refused(TdvmcallStatus.SUBFUNC_UNSUPPORTED);
  }
}

function decodeIo(size: bigint, write: bigint, port: bigint, value: bigint): Tdvmcall {
  if (write > 1n || (size !== 1n && size !== 2n && size !== 4n)) return invalid();
  return {
    kind: "io",
    port: Number(port & SHORT),
    size: Number(size),
    write: write === 1n,
    value: Number(BigInt.asUintN(8 * Number(size), value)),
  };
}

/** Whether `gpa` to the byte before `gpa + size` are addresses that the guest can have, all shared or all private. */
function isRange(gpa: bigint, size: bigint, sharedBit: bigint): boolean {
  const last = gpa + size - 1n;
  return size > 0n && last < 2n * sharedBit && (gpa & sharedBit) === (last & sharedBit);
}

/** Devices are in shared memory. */
function decodeMmio(size: bigint, write: bigint, gpa: bigint, value: bigint, sharedBit: bigint): Tdvmcall {
  if (write > 1n || (size !== 1n && size !== 2n && size !== 4n && size !== 8n)) return invalid();
  if (!isRange(gpa, size, sharedBit) || (gpa & sharedBit) === 0n) return invalid();
  return {
    kind: "mmio",
    gpa: Number(gpa - sharedBit),
    size: Number(size),
    write: write === 1n,
    value: BigInt.asUintN(8 * Number(size), value),
  };
}

function decodeMapGpa(gpa: bigint, size: bigint, sharedBit: bigint): Tdvmcall {
  if (!isRange(gpa, size, sharedBit)) return invalid(gpa);
  if (gpa % PAGE !== 0n || size % PAGE !== 0n) return refused(TdvmcallStatus.ALIGN_ERROR, gpa);
  return { kind: "map-gpa", start: Number(gpa), size: Number(size), toPrivate: (gpa & sharedBit) === 0n };
}

function decodeGetQuote(gpa: bigint, size: bigint, sharedBit: bigint): Tdvmcall {
  if (!isRange(gpa, size, sharedBit) || (gpa & sharedBit) === 0n) return invalid();
  return { kind: "get-quote", gpa: Number(gpa - sharedBit), size };
}
