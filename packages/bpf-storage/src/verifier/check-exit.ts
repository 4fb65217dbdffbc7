import { AttachType, ProgramType } from "../uapi/program-types.js";
import { outOfRange, returnLocal } from "./callbacks.js";
import { checkReadable, type Env } from "./env.js";
import { hookRange } from "./lsm-hooks.js";
import { checkLeaks } from "./references.js";
import { markPrecise, regTypeName } from "./reg.js";

/** The end of the program, or of one of its functions. */

type Range = readonly [number, number];

/** Attach types of cgroup/sock_addr programs that may only let pass. */
const RECEIVES: readonly number[] = [19, 20, 29, 30, 31, 32, 51, 52, 53];

/** What a program of this kind must return; nothing where any number will do. Source: linux 6.12, check_return_code. */
const resultRange = (env: Env): Range | undefined => {
  const attach = env.attachType;
  switch (env.type) {
    case ProgramType.CgroupSockAddr:
      if (RECEIVES.includes(attach)) return [1, 1];
      return attach === 8 || attach === 9 ? [0, 3] : [0, 1];
    case ProgramType.CgroupSkb:
      return attach === 1 ? [0, 3] : [0, 1];
    case ProgramType.CgroupSock:
    case ProgramType.SockOps:
    case ProgramType.CgroupDevice:
    case ProgramType.CgroupSysctl:
    case ProgramType.CgroupSockopt:
    case ProgramType.SkLookup:
      return [0, 1];
    case ProgramType.Tracing:
      if (attach === AttachType.TraceFentry || attach === AttachType.TraceFexit) return [0, 0];
      return attach === AttachType.TraceIter ? [0, 1] : undefined;
    case ProgramType.Lsm:
      return returnsVoid(env) ? undefined : hookRange(env.request.attachTo?.name);
    default:
      return undefined;
  }
};

const returnsVoid = (env: Env): boolean => {
  const { attachTo, kernelBtf } = env.request;
  return attachTo !== undefined && kernelBtf !== undefined && kernelBtf.returns(attachTo.proto) === 0;
};

const checkResult = (env: Env): void => {
  const inMain = env.frame.subprog === 0;
  if (inMain && env.type === ProgramType.Lsm && returnsVoid(env)) return;
  const reg = checkReadable(env, 0);
  const { callback, subprog } = env.frame;
  if (subprog !== 0 && callback === undefined) {
    if (reg.kind !== "scalar")
      env.fail("EINVAL", `At subprogram exit the register R0 is not a scalar value (${regTypeName(reg)})`);
    return;
  }
  const range = callback?.isAsync === true ? ([0, 0] as const) : resultRange(env);
  const when = callback?.isAsync === true ? "At async callback return" : "At program exit";
  if (range === undefined) return;
  if (reg.kind !== "scalar") env.fail("EINVAL", `${when} the register R0 is not a known value (${regTypeName(reg)})`);
  markPrecise(reg);
  const { v } = reg;
  const is32 = env.type === ProgramType.Lsm;
  const fits = is32
    ? v.s32min >= range[0] && v.s32max <= range[1]
    : v.smin >= BigInt(range[0]) && v.smax <= BigInt(range[1]);
  if (!fits) env.fail("EINVAL", outOfRange(reg, when, "R0", range[0], range[1]));
};

/** Checks an exit. Gives where the caller goes on, or nothing at the end of the program. */
export const checkExit = (env: Env): number | undefined => {
  const { state } = env;
  if (state.frames.length === 1) {
    if (state.lock !== undefined) env.fail("EINVAL", "bpf_spin_unlock is missing");
    if (state.rcuDepth > 0) env.fail("EINVAL", "bpf_rcu_read_unlock is missing");
    if (state.preemptDepth > 0)
      env.fail(
        "EINVAL",
        `${state.preemptDepth} bpf_preempt_enable${state.preemptDepth === 1 ? " is" : "(s) are"} missing`,
      );
  }
  checkLeaks(env);
  if (state.frames.length > 1) return returnLocal(env);
  checkResult(env);
  return undefined;
};
