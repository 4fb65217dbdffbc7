import { isKnownKfunc, type Kfunc, kfuncFor } from "../helpers/kfuncs.js";
import type { BtfShape, VerifierBtf } from "./btf-port.js";
import { isStructAt } from "./btf-walk.js";
import { checkReadable, type Env } from "./env.js";
import { checkUnmodified } from "./memory.js";
import { acquire, release } from "./references.js";
import { Mod, pointer, type Reg, regTypeName, UNINIT, unknown } from "./reg.js";

/** Calls of functions of the kernel: of those in the table, by their types in the kernel's BTF. All others are refused. */

interface Callee {
  readonly kfunc: Kfunc;
  readonly btf: VerifierBtf;
  readonly proto: number;
  readonly id: number;
}

const find = (env: Env): Callee => {
  const { insn } = env;
  const { kernelBtf: btf } = env.request;
  if (insn.imm === 0) env.fail("EINVAL", "invalid kernel function call not eliminated in verifier pass");
  const shape = insn.off === 0 ? btf?.shape(insn.imm) : undefined;
  if (btf === undefined || shape?.kind !== "func")
    return env.fail("EINVAL", `kernel function #${insn.imm} is not in the kernel's types`);
  const kfunc = kfuncFor(env.type, shape.name);
  if (kfunc !== undefined) return { kfunc, btf, proto: shape.proto, id: insn.imm };
  return env.fail(
    "EACCES",
    isKnownKfunc(shape.name)
      ? `calling kernel function ${shape.name} is not allowed`
      : `calling kernel function ${shape.name} is not supported by this verifier yet`,
  );
};

const structText = (shape: BtfShape | undefined): string =>
  shape?.kind === "struct" || shape?.kind === "union" ? `${shape.kind.toUpperCase()} ${shape.name}` : "UNKNOWN";

const isTrusted = (reg: Reg): boolean => reg.ref !== 0 || (reg.mods & Mod.Trusted) !== 0;

const checkObject = (env: Env, index: number, wanted: number, { kfunc, btf }: Callee): void => {
  const reg = env.reg(index);
  if (reg.isNull || reg.mayBeNull) env.fail("EACCES", `Possibly NULL pointer passed to trusted arg${index - 1}`);
  if (reg.kind !== "ptr_" || (reg.mods & (Mod.Untrusted | Mod.User | Mod.Percpu)) !== 0 || !isTrusted(reg)) {
    if (!kfunc.acceptsRcu || reg.kind !== "ptr_") env.fail("EINVAL", `R${index} must be referenced or trusted`);
    if ((reg.mods & Mod.Rcu) === 0 || (reg.mods & Mod.Untrusted) !== 0)
      env.fail("EINVAL", `R${index} must be a rcu pointer`);
  }
  if (kfunc.releases && reg.ref === 0)
    env.fail("EINVAL", `release kernel function ${kfunc.name} expects refcounted PTR_TO_BTF_ID`);
  if (kfunc.releases && reg.off !== 0)
    env.fail("EINVAL", `R${index} must have zero offset when passed to release func or trusted arg to kfunc`);
  checkUnmodified(env, reg, index, true);
  if (reg.btf !== btf || !isStructAt(btf, reg.btfId, reg.off, wanted, kfunc.releases))
    env.fail(
      "EINVAL",
      `kernel function ${kfunc.name} args#${index - 1} expected pointer to ${structText(btf.shape(wanted))} but R${index} has a pointer to ${structText(reg.btf?.shape(reg.btfId))}`,
    );
};

/** Checks the arguments; gives the reference that is taken back, 0 for none. */
const checkArguments = (env: Env, callee: Callee): number => {
  const { kfunc, btf, proto } = callee;
  let ref = 0;
  btf.params(proto).forEach(({ type }, k) => {
    const index = k + 1;
    const reg = checkReadable(env, index);
    const shape = btf.shape(type);
    if (shape?.kind === "int" || shape?.kind === "enum") {
      if (reg.kind !== "scalar") env.fail("EINVAL", `R${index} is not a scalar`);
      return;
    }
    const pointee = shape?.kind === "pointer" ? btf.shape(shape.to) : undefined;
    if (shape?.kind !== "pointer" || pointee?.kind !== "struct")
      env.fail("EOPNOTSUPP", `arg#${k} of ${kfunc.name} is of a type that this verifier does not check yet`);
    if (reg.kind === "scalar" && !reg.isNull) env.fail("EINVAL", `R${index} type=${regTypeName(reg)} expected=ptr_`);
    checkObject(env, index, btf.resolve(shape.to), callee);
    if (reg.ref !== 0) ref = reg.ref;
  });
  return kfunc.releases ? ref : 0;
};

/** What is protected by RCU is not any more. */
const leaveRcu = (env: Env): void => {
  env.state.rcuDepth--;
  env.state.replace((reg) =>
    (reg.mods & Mod.Rcu) !== 0 ? reg.with({ mods: (reg.mods & ~(Mod.Rcu | Mod.Null)) | Mod.Untrusted }) : undefined,
  );
};

const changeRegion = (env: Env, { name, region, mightSleep }: Kfunc): void => {
  const { state } = env;
  switch (region) {
    case "rcu-lock":
      if (state.rcuDepth > 0) env.fail("EINVAL", `nested rcu read lock (kernel function ${name})`);
      state.rcuDepth++;
      return;
    case "rcu-unlock":
      if (state.rcuDepth === 0) env.fail("EINVAL", `unmatched rcu read unlock (kernel function ${name})`);
      leaveRcu(env);
      return;
    case "preempt-disable":
      state.preemptDepth++;
      return;
    case "preempt-enable":
      if (state.preemptDepth === 0)
        env.fail("EINVAL", `unmatched attempt to enable preemption (kernel function ${name})`);
      state.preemptDepth--;
      return;
  }
  if (!mightSleep) return;
  if (!env.sleepable) env.fail("EACCES", `program must be sleepable to call sleepable kfunc ${name}`);
  if (state.rcuDepth > 0) env.fail("EACCES", `kernel func ${name} is sleepable within rcu_read_lock region`);
  if (state.preemptDepth > 0) env.fail("EACCES", `kernel func ${name} is sleepable within non-preemptible region`);
};

const resultOf = (env: Env, { kfunc, btf, proto }: Callee): Reg => {
  const type = btf.returns(proto);
  const shape = btf.shape(type);
  if (shape?.kind === "void") return UNINIT;
  if (shape?.kind === "int" || shape?.kind === "enum") return unknown();
  if (shape?.kind !== "pointer" || btf.shape(shape.to)?.kind !== "struct")
    return env.fail("EOPNOTSUPP", `${kfunc.name} returns what this verifier does not follow yet`);
  const ref = kfunc.acquires ? acquire(env, env.pc) : 0;
  const id = ref !== 0 ? ref : kfunc.mayReturnNull ? env.newId() : 0;
  return pointer("ptr_", { mods: kfunc.mayReturnNull ? Mod.Null : 0, id, ref, btf, btfId: btf.resolve(shape.to) });
};

/** Checks a call of a function of the kernel and works out its result. */
export const checkKfuncCall = (env: Env): void => {
  const callee = find(env);
  const ref = checkArguments(env, callee);
  changeRegion(env, callee.kfunc);
  if (callee.kfunc.releases && (ref === 0 || !release(env, ref)))
    env.fail("EINVAL", `kfunc ${callee.kfunc.name}#${callee.id} reference has not been acquired before`);
  for (let k = 0; k < 6; k++) env.set(k, UNINIT);
  env.set(0, resultOf(env, callee));
};
