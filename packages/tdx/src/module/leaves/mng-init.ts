import { Mrtd } from "../../measure/mrtd.js";
import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import type { Seamcall } from "../seamcall.js";
import { SecureEpt, SeptTable } from "../sept.js";
import { Status } from "../status.js";
import { Attribute, ConfigFlag, OpState, SEPT_ROOT_PAGE, TdCtl } from "../td.js";
import { readTdParams, TD_PARAMS_BYTES } from "../td-params.js";

const TSC_UNIT = 25_000_000n;
const MASK_64 = (1n << 64n) - 1n;

/** Multiplier (48 bits of fraction) and offset for a counter that starts now, from zero. */
function tscParameters(units: number, frequency: number, now: bigint) {
  const multiplier = ((BigInt(units) * TSC_UNIT) << 48n) / BigInt(Math.trunc(frequency));
  return { multiplier, offset: -((now * multiplier) >> 48n) & MASK_64 };
}

function init(call: Seamcall): bigint {
  const { td, out, module } = call;
  const bytes = call.sharedMemory(Gpr.Rdx, TD_PARAMS_BYTES);
  if (typeof bytes === "bigint") return bytes;
  const params = readTdParams(bytes, module.platform);
  if ("status" in params) {
    out[Gpr.Rcx] = params.extended;
    return params.status;
  }
  const { platform } = module;
  const { multiplier, offset } = tscParameters(params.tscFrequency, platform.tscFrequency, platform.tsc());
  td.attributes = params.attributes;
  td.tdCtls = (params.attributes & Attribute.SEPT_VE_DISABLE) === 0n ? 0n : TdCtl.PENDING_VE_DISABLE;
  td.xfam = params.xfam;
  td.maxVcpus = params.maxVcpus;
  td.msrConfigCtls = params.msrConfigCtls;
  td.eptpControls = params.eptpControls;
  td.configFlags = params.configFlags;
  td.gpaw = (params.configFlags & ConfigFlag.GPAW) !== 0n;
  td.tscFrequency = params.tscFrequency;
  td.tscMultiplier = multiplier;
  td.tscOffset = offset;
  td.archCapabilities = params.archCapabilities;
  td.cpuid.clear();
  for (const [key, values] of params.cpuid) td.cpuid.set(key, values);
  td.mrConfigId = params.mrConfigId;
  td.mrOwner = params.mrOwner;
  td.mrOwnerConfig = params.mrOwnerConfig;
  td.mrtdContext = new Mrtd();
  td.sept = new SecureEpt(new SeptTable(td.tdcx[SEPT_ROOT_PAGE] as number), params.levels);
  td.topologyEnumConfigured = true;
  td.epoch.current = 1;
  td.opState = OpState.Initialized;
  return Status.SUCCESS;
}

/** TDH.MNG.INIT. */
export const MNG_INIT_LEAVES: readonly SeamcallLeaf[] = [
  {
    number: 21,
    name: "TDH.MNG.INIT",
    td: { operand: Gpr.Rcx, lock: "exclusive", opState: "unlocked" },
    outputs: [Gpr.Rcx],
    states: [OpState.Uninitialized],
    run: init,
  },
];
