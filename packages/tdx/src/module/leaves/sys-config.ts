import { Gpr } from "../gpr.js";
import { KeyState } from "../kot.js";
import type { SeamcallLeaf } from "../leaf.js";
import { SysState, type Tdmr } from "../module-state.js";
import { PAGE_BYTES, PageSize } from "../page-type.js";
import type { Seamcall } from "../seamcall.js";
import { OperandId, Status, withOperand } from "../status.js";
import { checkTdmr, joined, MAX_TDMRS, readTdmrInfo, TDMR_INFO_BYTES, type TdmrInfo } from "../tdmr-info.js";
import { TryLock } from "../try-lock.js";
import { takeGlobal } from "./sys-init.js";

const GIB = PAGE_BYTES[PageSize.Size1G];
/** What one TDH.SYS.TDMR.INIT gets done: the entries of 1024 pages of 4 KiB. */
const INIT_STEP = 1024 * PAGE_BYTES[PageSize.Size4K];

/** The private key id in the low 16 bits of a register. */
export function privateHkid(call: Seamcall, gpr: Gpr): number | bigint {
  const raw = call.regs[gpr] as bigint;
  const hkid = Number(raw);
  if (raw >= 0x1_0000n || call.module.kot.entry(hkid) === undefined) return withOperand(Status.OPERAND_INVALID, gpr);
  return hkid;
}

/** Reads and checks the TDMRs that the array of addresses names. */
function readTdmrs(call: Seamcall, array: Uint8Array, count: number): TdmrInfo[] | bigint {
  const { module } = call;
  const space = { limit: 2 ** module.hkidShift, convertible: joined(module.platform.cmrs) };
  const addresses = new DataView(array.buffer, array.byteOffset, array.byteLength);
  const infos: TdmrInfo[] = [];
  for (let i = 0; i < count; i++) {
    const bytes = call.sharedAt(addresses.getBigUint64(8 * i, true), TDMR_INFO_BYTES);
    if (bytes === undefined) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
    infos.push(readTdmrInfo(bytes));
    const status = checkTdmr(infos, i, space);
    if (status !== Status.SUCCESS) return status;
  }
  return infos;
}

function toTdmr({ base, size, pamts, areas }: TdmrInfo): Tdmr {
  const reserved = areas.filter((area) => area.size > 0).map((area) => ({ base: base + area.base, size: area.size }));
  return { base, size, pamts, reserved, initialised: base, lock: new TryLock() };
}

function sysConfig(call: Seamcall): bigint {
  const { module, regs } = call;
  const busy = takeGlobal(call, "exclusive");
  if (busy !== Status.SUCCESS) return busy;
  if (module.sys !== SysState.InitDone || !module.lpInitialised.every(Boolean)) return Status.SYS_CONFIG_NOT_PENDING;
  const array = call.sharedMemory(Gpr.Rcx, TDMR_INFO_BYTES);
  if (typeof array === "bigint") return array;
  const count = regs[Gpr.Rdx] as bigint;
  if (count < 1n || count > BigInt(MAX_TDMRS)) return withOperand(Status.OPERAND_INVALID, OperandId.Rdx);
  const hkid = privateHkid(call, Gpr.R8);
  if (typeof hkid === "bigint") return hkid;
  const infos = readTdmrs(call, array, Number(count));
  if (typeof infos === "bigint") return infos;
  const entry = module.kot.entry(hkid);
  if (entry !== undefined) entry.state = KeyState.Reserved;
  module.hkid = hkid;
  module.tdmrs.push(...infos.map(toTdmr));
  module.sys = SysState.ConfigDone;
  return Status.SUCCESS;
}

function tdmrInit(call: Seamcall): bigint {
  const { module, out } = call;
  const base = call.privateAddress(Gpr.Rcx, PageSize.Size1G);
  if (typeof base === "bigint") return base;
  const tdmr = module.tdmrs.find((known) => known.base === base);
  if (tdmr === undefined) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  const busy = call.take(tdmr.lock, "exclusive", Gpr.Rcx);
  if (busy !== Status.SUCCESS) return busy;
  if (tdmr.initialised >= tdmr.base + tdmr.size) return Status.TDMR_ALREADY_INITIALIZED;
  tdmr.initialised += INIT_STEP;
  if (tdmr.initialised % GIB === 0) module.pamt.initBlock(tdmr.initialised - GIB, tdmr.reserved);
  out[Gpr.Rdx] = BigInt(tdmr.initialised - (tdmr.initialised % GIB));
  return Status.SUCCESS;
}

/** TDH.SYS.CONFIG and TDMR.INIT. */
export const SYS_CONFIG_LEAVES: readonly SeamcallLeaf[] = [
  { number: 45, name: "TDH.SYS.CONFIG", beforeReady: true, run: sysConfig },
  { number: 36, name: "TDH.SYS.TDMR.INIT", outputs: [Gpr.Rdx], run: tdmrInit },
];
