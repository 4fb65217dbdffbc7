import type { Env } from "./env.js";
import type { VerifierMap } from "./request.js";
import { isConst } from "./scalar.js";

/** The spin lock and the timer in a map's value. */

const fieldAt = (env: Env, index: number, kind: "bpf_spin_lock" | "bpf_timer"): VerifierMap => {
  const reg = env.reg(index);
  const map = reg.map as VerifierMap;
  if (!isConst(reg.v))
    env.fail("EINVAL", `R${index} doesn't have constant offset. ${kind} has to be at the constant offset`);
  if (map.fields === undefined) env.fail("EINVAL", `map '${map.name ?? ""}' has to have BTF in order to use ${kind}`);
  const field = map.fields.find((each) => each.kind === kind);
  if (field === undefined) return env.fail("EINVAL", `map '${map.name ?? ""}' has no valid ${kind}`);
  const off = reg.off + Number(BigInt.asIntN(64, reg.v.bits.value));
  if (off !== field.offset)
    env.fail("EINVAL", `off ${off} doesn't point to 'struct ${kind}' that is at ${field.offset}`);
  return map;
};

/** Takes or gives back a lock. One is held at a time, and given back by the same pointer's value. */
export const checkLock = (env: Env, index: number, takes: boolean): void => {
  const map = fieldAt(env, index, "bpf_spin_lock");
  const { state } = env;
  const { id } = env.reg(index);
  if (takes) {
    if (state.lock !== undefined) env.fail("EINVAL", "Locking two bpf_spin_locks are not allowed");
    state.lock = { map, id };
    return;
  }
  if (state.lock === undefined) env.fail("EINVAL", "bpf_spin_unlock without taking a lock");
  if (state.lock.map !== map || state.lock.id !== id) env.fail("EINVAL", "bpf_spin_unlock of different lock");
  state.lock = undefined;
};

/** The map whose timer a pointer points to. */
export const checkTimer = (env: Env, index: number): VerifierMap => fieldAt(env, index, "bpf_timer");
