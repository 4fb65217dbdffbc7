import type { Env } from "./env.js";
import { fieldsOf, offsetOf } from "./fields.js";
import { forgetNonOwning } from "./owning.js";
import { forgetRcu } from "./regions.js";
import type { VerifierMap } from "./request.js";
import { isConst } from "./scalar.js";

/** The spin lock, the timer and the work queue in a map's value, and the spin lock in an object of the program. */

type Lockable = "bpf_spin_lock" | "bpf_timer" | "bpf_wq";

const checkField = (env: Env, index: number, kind: Lockable): void => {
  const reg = env.reg(index);
  const { map } = reg;
  if (!isConst(reg.v))
    env.fail("EINVAL", `R${index} doesn't have constant offset. ${kind} has to be at the constant offset`);
  if (map !== undefined && map.fields === undefined)
    env.fail("EINVAL", `map '${map.name ?? ""}' has to have BTF in order to use ${kind}`);
  const field = fieldsOf(env, reg).find((each) => each.kind === kind);
  if (field === undefined) {
    const what = map === undefined ? "local 'kptr'" : `map '${map.name ?? ""}'`;
    env.fail("EINVAL", `${what} has no valid ${kind}`);
  }
  const off = offsetOf(reg);
  if (off !== field.offset)
    env.fail("EINVAL", `off ${off} doesn't point to 'struct ${kind}' that is at ${field.offset}`);
};

/** Takes or gives back a lock. One is held at a time, and given back by the same pointer's value. */
export const checkLock = (env: Env, index: number, takes: boolean): void => {
  checkField(env, index, "bpf_spin_lock");
  const { state } = env;
  const { id, map: ofMap, btf } = env.reg(index);
  const map = ofMap ?? btf;
  if (map === undefined) env.fail("EFAULT", `R${index} points to nothing with a lock`);
  if (takes) {
    if (state.lock !== undefined) env.fail("EINVAL", "Locking two bpf_spin_locks are not allowed");
    state.lock = { map, id };
    return;
  }
  if (state.lock === undefined) env.fail("EINVAL", "bpf_spin_unlock without taking a lock");
  if (state.lock.map !== map || state.lock.id !== id) env.fail("EINVAL", "bpf_spin_unlock of different lock");
  forgetNonOwning(env);
  state.lock = undefined;
  // In programs that sleep, the lock was what kept others from freeing what was seen: linux 6.12 goes on to believe that it is there.
  if (!env.inRcu) forgetRcu(env);
};

/** The map whose timer or work queue a pointer points to. */
export const checkDeferred = (env: Env, index: number, kind: "bpf_timer" | "bpf_wq"): VerifierMap => {
  checkField(env, index, kind);
  const { map } = env.reg(index);
  return map ?? env.fail("EFAULT", `R${index} points to no map's value`);
};
