import { CPUID_CONFIGURABLE } from "../../tables/cpuid.js";
import { attributesFixed0, MODULE_VERSION, XFAM_FIXED1, xfamFixed0 } from "../capabilities.js";
import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import { PAGE_BYTES, PageSize } from "../page-type.js";
import type { Seamcall } from "../seamcall.js";
import { OperandId, Status, withOperand } from "../status.js";
import { MIN_TDCS_PAGES } from "../td.js";
import { MIN_TDVPS_PAGES } from "../td-vcpu.js";
import { MAX_RESERVED_AREAS, MAX_TDMRS, PAMT_ENTRY_BYTES } from "../tdmr-info.js";

/** Bytes of TDSYSINFO_STRUCT, and its alignment. */
const INFO_BYTES = 1024;
/** Entries of the list of convertible ranges, 16 bytes each. */
const CMRS = 32;
const CMR_BYTES = 16;
const INTEL = 0x8086;
const PAGE = PAGE_BYTES[PageSize.Size4K];
const NO_SUBLEAF = 0xffff_ffff;

/** Source: Intel TDX module 1.5 ABI specification, "TDSYSINFO_STRUCT". */
function writeInfo(view: DataView, { module: { platform } }: Seamcall): void {
  view.setUint32(4, INTEL, true);
  view.setUint16(14, MODULE_VERSION.minor, true);
  view.setUint16(16, MODULE_VERSION.major, true);
  // TDH.SYS.RD is there and says more.
  view.setUint8(18, 1);
  view.setUint16(32, MAX_TDMRS, true);
  view.setUint16(34, MAX_RESERVED_AREAS, true);
  view.setUint16(36, PAMT_ENTRY_BYTES, true);
  view.setUint16(48, MIN_TDCS_PAGES * PAGE, true);
  view.setUint16(52, MIN_TDVPS_PAGES * PAGE, true);
  view.setBigUint64(64, attributesFixed0(platform.cpuid), true);
  view.setBigUint64(80, xfamFixed0(platform.cpuid), true);
  view.setBigUint64(88, XFAM_FIXED1, true);
  view.setUint32(128, CPUID_CONFIGURABLE.length, true);
  for (const [i, { leaf, subleaf, direct, allow }] of CPUID_CONFIGURABLE.entries()) {
    const at = 132 + 24 * i;
    view.setUint32(at, leaf, true);
    view.setUint32(at + 4, subleaf ?? NO_SUBLEAF, true);
    const native = platform.cpuid(leaf, subleaf ?? 0);
    for (const [register, bits] of direct.entries())
      view.setUint32(at + 8 + 4 * register, (bits | ((allow[register] ?? 0) & (native[register] ?? 0))) >>> 0, true);
  }
}

function sysInfo(call: Seamcall): bigint {
  const { module, lp, regs, out } = call;
  if (!module.lpInitialised[lp]) return Status.SYS_LP_INIT_NOT_DONE;
  const info = call.sharedMemory(Gpr.Rcx, INFO_BYTES);
  if (typeof info === "bigint") return info;
  if ((regs[Gpr.Rdx] as bigint) < BigInt(INFO_BYTES)) return withOperand(Status.OPERAND_INVALID, OperandId.Rdx);
  info.fill(0);
  const cmrs = call.sharedMemory(Gpr.R8, CMRS * CMR_BYTES);
  if (typeof cmrs === "bigint") return cmrs;
  if ((regs[Gpr.R9] as bigint) < BigInt(CMRS)) return withOperand(Status.OPERAND_INVALID, OperandId.R9);
  writeInfo(new DataView(info.buffer, info.byteOffset, INFO_BYTES), call);
  const list = new DataView(cmrs.buffer, cmrs.byteOffset, CMRS * CMR_BYTES);
  for (let i = 0; i < CMRS; i++) {
    const { base, size } = module.platform.cmrs[i] ?? { base: 0, size: 0 };
    list.setBigUint64(CMR_BYTES * i, BigInt(base), true);
    list.setBigUint64(CMR_BYTES * i + 8, BigInt(size), true);
  }
  out[Gpr.Rdx] = BigInt(INFO_BYTES);
  out[Gpr.R9] = BigInt(CMRS);
  return Status.SUCCESS;
}

/** TDH.SYS.INFO. */
export const SYS_INFO_LEAVES: readonly SeamcallLeaf[] = [
  { number: 32, name: "TDH.SYS.INFO", beforeReady: true, outputs: [Gpr.Rdx, Gpr.R9], run: sysInfo },
];
