import { AttachType, ProgramType } from "../uapi/program-types.js";
import { outOfRange, returnLocal } from "./callbacks.js";
import { checkReadable, type Env } from "./env.js";
import { toNumberS } from "./int64.js";
import { hookRange } from "./lsm-hooks.js";
import { checkLeaks } from "./references.js";
import { markPrecise, regTypeName } from "./reg.js";
import type { Frame } from "./state.js";
import { checkRegions } from "./throwing.js";

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
    case ProgramType.Netfilter:
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

/** What the program, or a function of it that is verified on its own, returns: in R0, or, where it is thrown, in R1. */
const checkResult = (env: Env, index: number): void => {
  const { callback, subprog } = env.state.frames[0] as Frame;
  const isProgram = subprog === 0 || subprog === env.exceptionCallback;
  const mayBeVoid = env.type === ProgramType.Lsm || env.type === ProgramType.StructOps;
  if (isProgram && mayBeVoid && returnsVoid(env)) return;
  const reg = checkReadable(env, index);
  if (!isProgram && callback === undefined) {
    if (reg.kind !== "scalar")
      env.fail("EINVAL", `At subprogram exit the register R${index} is not a scalar value (${regTypeName(reg)})`);
    return;
  }
  const range = callback?.isAsync === true ? ([0, 0] as const) : resultRange(env);
  const when = callback?.isAsync === true ? "At async callback return" : "At program exit";
  if (range === undefined) return;
  if (reg.kind !== "scalar")
    env.fail("EINVAL", `${when} the register R${index} is not a known value (${regTypeName(reg)})`);
  markPrecise(reg);
  const { v } = reg;
  const is32 = env.type === ProgramType.Lsm;
  const fits = is32
    ? v.s32min >= range[0] && v.s32max <= range[1]
    : toNumberS(v.smin) >= range[0] && toNumberS(v.smax) <= range[1];
  if (!fits) env.fail("EINVAL", outOfRange(reg, when, `R${index}`, range[0], range[1]));
};

/** What is thrown is what the program returns, unless it has a function for that. */
export const checkThrown = (env: Env): void => {
  checkResult(env, 1);
};

/** Checks an exit. Gives where the caller goes on, or nothing at the end of the program. */
export const checkExit = (env: Env): number | undefined => {
  const { state } = env;
  if (state.frames.length === 1) checkRegions(env, false);
  checkLeaks(env);
  if (state.frames.length > 1) return returnLocal(env);
  checkResult(env, 0);
  return undefined;
};
