import { Gpr } from "../gpr.js";
import { initialState } from "../initial-state.js";
import type { SeamcallLeaf } from "../leaf.js";
import { PageType } from "../page-type.js";
import type { Page, Seamcall } from "../seamcall.js";
import { OperandId, Status, withOperand } from "../status.js";
import { Lifecycle, MIN_TDCS_PAGES } from "../td.js";
import { LastExit, MAX_TDVPS_PAGES, MIN_TDVPS_PAGES, NOT_ASSOCIATED, TdVcpu, VcpuState } from "../td-vcpu.js";
import { BUILDING } from "./states.js";

const MAX_X2APIC_ID = 0xffff_ffff;

/** A page becomes part of a vCPU. */
function own({ td }: Seamcall, { entry }: Page, type: PageType): void {
  entry.type = type;
  entry.owner = td.tdr;
  td.chldcnt++;
}

function create(call: Seamcall): bigint {
  const { td, module } = call;
  const page = call.freePage(Gpr.Rcx);
  if (typeof page === "bigint") return page;
  const vcpu = new TdVcpu(td, page.hpa);
  td.vcpus.set(page.hpa, vcpu);
  module.vcpus.set(page.hpa, vcpu);
  own(call, page, PageType.Tdvpr);
  return Status.SUCCESS;
}

function addCx(call: Seamcall): bigint {
  const { vcpu } = call;
  if (vcpu.state !== VcpuState.Uninitialized) return Status.VCPU_STATE_INCORRECT;
  if (vcpu.pages.length >= MAX_TDVPS_PAGES) return Status.TDCX_NUM_INCORRECT;
  const page = call.freePage(Gpr.Rcx);
  if (typeof page === "bigint") return page;
  vcpu.pages.push(page.hpa);
  own(call, page, PageType.Tdcx);
  return Status.SUCCESS;
}

function init(call: Seamcall): bigint {
  const { vcpu, td, module, regs, lp, version } = call;
  if (vcpu.pages.length < MIN_TDVPS_PAGES) return Status.TDCX_NUM_INCORRECT;
  if (vcpu.state !== VcpuState.Uninitialized) return Status.VCPU_STATE_INCORRECT;
  if (td.numVcpus >= td.maxVcpus) return Status.MAX_VCPUS_EXCEEDED;
  if (version > 0) {
    const x2ApicId = call.number(Gpr.R8);
    if (x2ApicId > MAX_X2APIC_ID) return withOperand(Status.OPERAND_INVALID, OperandId.R8);
    const isTaken = [...td.vcpus.values()].some((other) => other.hasX2ApicId && other.x2ApicId === x2ApicId);
    if (isTaken) return withOperand(Status.X2APIC_ID_NOT_UNIQUE, x2ApicId);
    vcpu.hasX2ApicId = true;
    vcpu.x2ApicId = x2ApicId;
  } else td.topologyEnumConfigured = false;
  const { platform } = module;
  vcpu.index = td.numVcpus++;
  vcpu.lastExitTsc = platform.tsc();
  vcpu.xfam = td.xfam;
  vcpu.state = VcpuState.Ready;
  vcpu.lastExit = LastExit.AsyncFault;
  vcpu.associatedLp = lp;
  td.numAssociatedVcpus++;
  vcpu.cpu = platform.createGuestCpu(vcpu);
  vcpu.cpu.reset(initialState(td, vcpu.index, regs[Gpr.Rdx] as bigint, platform.cpuid(1, 0)[0]));
  return Status.SUCCESS;
}

function flush({ vcpu, td, lp, module }: Seamcall): bigint {
  if (td.lifecycle !== Lifecycle.KeysConfigured || td.tdcx.length < MIN_TDCS_PAGES)
    return Status.TD_KEYS_NOT_CONFIGURED;
  if (vcpu.pages.length < MIN_TDVPS_PAGES) return Status.TDCX_NUM_INCORRECT;
  if (vcpu.associatedLp !== lp) return Status.VCPU_NOT_ASSOCIATED;
  vcpu.cpu?.flushTlb();
  vcpu.associatedLp = NOT_ASSOCIATED;
  td.numAssociatedVcpus--;
  if (module.lastVcpu[lp] === vcpu) module.lastVcpu[lp] = undefined;
  return Status.SUCCESS;
}

const exclusive = { lock: "exclusive", tdrLock: "shared" } as const;

/** TDH.VP.CREATE, ADDCX, INIT and FLUSH. */
export const VP_LEAVES: readonly SeamcallLeaf[] = [
  {
    number: 10,
    name: "TDH.VP.CREATE",
    td: { operand: Gpr.Rdx, lock: "shared", opState: "shared" },
    states: BUILDING,
    run: create,
  },
  {
    number: 4,
    name: "TDH.VP.ADDCX",
    vcpu: { operand: Gpr.Rdx, ...exclusive, opState: "shared" },
    states: BUILDING,
    run: addCx,
  },
  {
    number: 22,
    name: "TDH.VP.INIT",
    versions: 1,
    vcpu: { operand: Gpr.Rcx, ...exclusive, tdrLockV1: "exclusive", opState: "shared" },
    states: BUILDING,
    run: init,
  },
  { number: 18, name: "TDH.VP.FLUSH", vcpu: { operand: Gpr.Rcx, ...exclusive }, run: flush },
];
