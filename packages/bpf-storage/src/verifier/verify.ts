import { finish, type Work } from "../work.js";
import { checkFlow, checkStackDepth, checkSubprograms, findSubprograms } from "./cfg.js";
import { Env, MAX_PROCESSED, Rejection } from "./env.js";
import { noteExceptionCallback } from "./exceptions.js";
import { explore } from "./explore.js";
import { fixUp } from "./fixup.js";
import { checkAttachment, checkProgramType, readFunctions } from "./functions.js";
import { checkInsns } from "./insn-rules.js";
import { checkKfuncNames } from "./kfunc-callee.js";
import { liveRegisters } from "./live.js";
import type { Verdict, VerifyRequest } from "./request.js";

const stackDepthOf = (bytes: number): number => (bytes + 7) & ~7;

const verdict = (env: Env, accepted: boolean, errno: Verdict["errno"]): Verdict => {
  env.say(
    `processed ${env.processed} insns (limit ${MAX_PROCESSED}) max_states_per_insn ${env.maxStatesPerInsn} ` +
      `total_states ${env.states} peak_states ${env.peakStates} mark_read 0`,
  );
  const sleeping = env.aux.flatMap((aux, pc) => (aux.sleepingStorage && !aux.atomicStorage ? [pc] : []));
  return {
    accepted,
    errno,
    log: env.log,
    insns: accepted ? fixUp(env) : env.request.insns,
    subprograms: env.subprograms.map(({ start, stackDepth }) => ({ start, stackDepth: stackDepthOf(stackDepth) })),
    usedMaps: env.usedMaps,
    contextSize: env.contextSize,
    bufferAccess: env.bufferAccess,
    sleepingAllocations: sleeping,
    stats: { processed: env.processed, states: env.states, peakStates: env.peakStates },
  };
};

/**
 * Verifies a program as linux 6.12 would for a loader with all capabilities: it is accepted only where no run of it can do what it may not.
 * What this verifier does not know yet is refused, with a sentence that says so; it throws for nothing that a program does.
 *
 * @example
 * const { accepted, log } = verify({ insns, type: ProgramType.RawTracepoint, maps: (fd) => table.get(fd) });
 */
export const verify = (request: VerifyRequest): Verdict => finish(verifying(request));

/** {@link verify}, with stops at which others may have their turn: a program can take seconds. */
export function* verifying(request: VerifyRequest): Work<Verdict> {
  const env = new Env(request);
  try {
    if (request.insns.length === 0 || request.insns.length > MAX_PROCESSED)
      env.fail("E2BIG", `a program has 1 to ${MAX_PROCESSED} instructions`);
    checkProgramType(env);
    findSubprograms(env);
    checkKfuncNames(env);
    checkSubprograms(env);
    readFunctions(env);
    noteExceptionCallback(env);
    // What a program is attached to is asked after maps have been looked for, and paths, since 6.2.
    const isOld = request.generation === 1;
    if (isOld) checkAttachment(env);
    checkInsns(env);
    checkFlow(env);
    if (!isOld) checkAttachment(env);
    env.live = liveRegisters(env);
    yield* explore(env);
    checkStackDepth(env);
    return verdict(env, true, undefined);
  } catch (error) {
    if (!(error instanceof Rejection)) throw error;
    return verdict(env, false, error.code);
  }
}
