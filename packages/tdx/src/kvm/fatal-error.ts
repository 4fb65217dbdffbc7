import { Gpr, type Gprs } from "../module/gpr.js";
import type { TdxFatal } from "./td-exit.js";

/** Registers with the message, 8 bytes each, in this order. Source: GHCI, TDG.VP.VMCALL<ReportFatalError>. */
const MESSAGE = [Gpr.R14, Gpr.R15, Gpr.Rbx, Gpr.Rdi, Gpr.Rsi, Gpr.R8, Gpr.R9, Gpr.Rdx] as const;
/** R12: R13 is an address. */
const GPA_VALID = 1n << 63n;

/** TDVMCALL ReportFatalError. The message comes from the guest: what cannot be printed becomes a dot, and the first zero ends it. */
export function fatalError(args: Gprs, vpEnterRet: bigint, sharedBit: number): TdxFatal {
  const r12 = args[Gpr.R12] as bigint;
  const r13 = args[Gpr.R13] as bigint;
  const registers = Array.from(args, (value, gpr) => (gpr === Gpr.Rsp || gpr === Gpr.Rbp ? 0n : value));
  registers[Gpr.Rax] = vpEnterRet;
  const isAddress = (r12 & GPA_VALID) !== 0n && r13 < BigInt(2 * sharedBit);
  return {
    reason: "tdx-fatal",
    code: Number(r12 & 0xffff_ffffn),
    message: messageOf(args),
    gpa: isAddress ? Number(r13 & (BigInt(sharedBit) - 1n)) : null,
    registers,
  };
}

function messageOf(args: Gprs): string {
  let message = "";
  for (const gpr of MESSAGE)
    for (let shift = 0n; shift < 64n; shift += 8n) {
      const byte = Number(((args[gpr] as bigint) >> shift) & 0xffn);
      if (byte === 0) return message;
      message += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".";
    }
  return message;
}
