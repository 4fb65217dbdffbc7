import { Gpr } from "../gpr.js";
import type { SeamcallLeaf } from "../leaf.js";
import { SysState } from "../module-state.js";
import type { Seamcall } from "../seamcall.js";
import { OperandId, Status, withOperand } from "../status.js";

/** Bytes of a private key. */
const KEY_BYTES = 32;

/** SUCCESS with the global lock, or SYS_BUSY. */
export function takeGlobal(call: Seamcall, mode: "shared" | "exclusive"): bigint {
  return call.take(call.module.globalLock, mode, OperandId.Sys) === Status.SUCCESS ? Status.SUCCESS : Status.SYS_BUSY;
}

/** Makes a new key for a key id on the package of the caller; where there is no entropy, it asks to try again. */
export function programKey(call: Seamcall): bigint {
  const key = new Uint8Array(KEY_BYTES);
  return call.module.platform.random(key) ? Status.SUCCESS : Status.KEY_GENERATION_FAILED;
}

function sysInit(call: Seamcall): bigint {
  const { regs, module } = call;
  const busy = takeGlobal(call, "exclusive");
  if (busy !== Status.SUCCESS) return busy;
  if (regs[Gpr.Rcx] !== 0n) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  if (module.sys !== SysState.InitPending) return Status.SYS_INIT_NOT_PENDING;
  module.sys = SysState.InitDone;
  return Status.SUCCESS;
}

function lpInit(call: Seamcall): bigint {
  const { module, lp } = call;
  const busy = takeGlobal(call, "shared");
  if (busy !== Status.SUCCESS) return busy;
  if (module.sys !== SysState.InitDone) return Status.SYS_LP_INIT_NOT_PENDING;
  if (module.lpInitialised[lp]) return Status.SYS_LP_INIT_DONE;
  module.lpInitialised[lp] = true;
  return Status.SUCCESS;
}

function keyConfig(call: Seamcall): bigint {
  const { module } = call;
  const busy = takeGlobal(call, "exclusive");
  if (busy !== Status.SUCCESS) return busy;
  if (module.sys !== SysState.ConfigDone) return Status.SYS_KEY_CONFIG_NOT_PENDING;
  const bit = 1 << call.package;
  if ((module.packagesConfigured & bit) !== 0) return Status.KEY_CONFIGURED;
  const status = programKey(call);
  if (status !== Status.SUCCESS) return status;
  module.packagesConfigured |= bit;
  if (module.packagesConfigured >>> 0 === module.allPackages) module.sys = SysState.Ready;
  return Status.SUCCESS;
}

/** RCX is the version of the data that the next module would take over; this one writes none but its own, 0. */
function shutdown(call: Seamcall): bigint {
  if (call.regs[Gpr.Rcx] !== 0n) return withOperand(Status.OPERAND_INVALID, OperandId.Rcx);
  const busy = takeGlobal(call, "exclusive");
  if (busy !== Status.SUCCESS) return busy;
  if (call.module.running.some((vcpu) => vcpu !== undefined)) return Status.SYS_BUSY;
  call.module.sys = SysState.Shutdown;
  return Status.SUCCESS;
}

/** A module that was loaded fresh has nobody's data to take over. */
function update(call: Seamcall): bigint {
  const busy = takeGlobal(call, "exclusive");
  if (busy !== Status.SUCCESS) return busy;
  const ready = call.module.sys === SysState.InitDone && call.module.lpInitialised.every(Boolean);
  return ready ? Status.SYS_INVALID_HANDOFF : Status.SYS_STATE_INCORRECT;
}

/** TDH.SYS.INIT, LP.INIT, KEY.CONFIG, SHUTDOWN, LP.SHUTDOWN and UPDATE. */
export const SYS_INIT_LEAVES: readonly SeamcallLeaf[] = [
  {
    number: 33,
    name: "TDH.SYS.INIT",
    beforeReady: true,
    outputs: [Gpr.Rcx, Gpr.Rdx, Gpr.R8, Gpr.R9, Gpr.R10],
    run: sysInit,
  },
  { number: 35, name: "TDH.SYS.LP.INIT", beforeReady: true, outputs: [Gpr.Rcx, Gpr.Rdx, Gpr.R8], run: lpInit },
  { number: 31, name: "TDH.SYS.KEY.CONFIG", beforeReady: true, run: keyConfig },
  { number: 44, name: "TDH.SYS.LP.SHUTDOWN", beforeReady: true, run: () => Status.SUCCESS },
  { number: 52, name: "TDH.SYS.SHUTDOWN", run: shutdown },
  { number: 53, name: "TDH.SYS.UPDATE", beforeReady: true, run: update },
];
