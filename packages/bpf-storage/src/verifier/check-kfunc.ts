import { callDeferred, callOrder } from "./callbacks.js";
import { checkThrown } from "./check-exit.js";
import type { Env } from "./env.js";
import { nextElement } from "./iterators.js";
import { checkKfuncArgs, type KfuncArgs } from "./kfunc-args.js";
import { addsNode, type Callee, calleeOf, kfuncDefers, kfuncRunsCallback, THROW } from "./kfunc-callee.js";
import { kfuncResult } from "./kfunc-result.js";
import { giveAway } from "./owning.js";
import { release } from "./references.js";
import { UNINIT } from "./reg.js";
import { changeRegion } from "./regions.js";

/** Calls of functions of the kernel: whether the program may, what the arguments are, and what comes back. */

/** Gives back what the function takes, or what a list or tree owns from now on. */
const giveBack = (env: Env, { kfunc, id }: Callee, args: KfuncArgs): void => {
  const refuse = (): never => env.fail("EINVAL", `kfunc ${kfunc.name}#${id} reference has not been acquired before`);
  if (args.releases !== 0 && !release(env, env.reg(args.releases).ref)) refuse();
  if (addsNode(kfunc.name) && !giveAway(env, env.reg(2).ref)) refuse();
};

/** Checks a call of a function of the kernel and works out its result. */
export const checkKfuncCall = (env: Env): void => {
  const callee = calleeOf(env);
  const { kfunc } = callee;
  if (kfunc.mightSleep && !env.sleepable)
    env.fail("EACCES", `program must be sleepable to call sleepable kfunc ${kfunc.name}`);
  const args = checkKfuncArgs(env, callee);
  if (kfuncRunsCallback(kfunc.name)) callOrder(env, args.subprog, args.root);
  if (kfuncDefers(kfunc.name)) callDeferred(env, args.subprog, true);
  changeRegion(env, kfunc);
  giveBack(env, callee, args);
  if (kfunc.name === THROW && env.exceptionCallback === 0) checkThrown(env);
  for (let k = 0; k < 6; k++) env.set(k, UNINIT);
  env.set(0, kfuncResult(env, callee, args));
  if (kfunc.iterator === "next" && args.iterator !== undefined) nextElement(env, args.iterator);
};
