import type { VerifierBtf } from "./btf-port.js";
import { Mod, pointer, type Reg } from "./reg.js";
import { allBytes, Byte, type Frame } from "./state.js";

/**
 * Slots of open-coded iterators. Each holds a register of kind `iter`: `btf` and `btfId` are the struct, `subprog` is its place from the
 * first slot on, `ref` is the reference in the first slot, `mods` are Rcu or Untrusted where RCU protects what the iterator shows. `size`
 * is all of that in one number, by which slots are compared.
 */
export const Stage = { Active: 1, Drained: 2 } as const;
export type Stage = (typeof Stage)[keyof typeof Stage];

/** Numbers of slots start where those of kinds of dynptrs have ended. */
const keyOf = (btfId: number, mods: number, stage: number): number =>
  (btfId << 5) + 16 + (stage << 2) + ((mods & Mod.Rcu) !== 0 ? 1 : 0) + ((mods & Mod.Untrusted) !== 0 ? 2 : 0);

export const stageOf = (reg: Reg): number => (reg.size >> 2) & 3;

export const iteratorSlot = (
  struct: { readonly btf: VerifierBtf | undefined; readonly btfId: number },
  mods: number,
  stage: number,
  place: number,
  ref: number,
): Reg => {
  const { btf, btfId } = struct;
  return pointer("iter", { btf, btfId, mods, subprog: place, ref, size: keyOf(btfId, mods, stage) });
};

export const putIterator = (frame: Frame, slot: number, reg: Reg): void => {
  frame.stack[slot] = { kinds: allBytes(Byte.Dynptr), reg };
};

/** RCU does not protect any more what the iterator shows: it can only be ended... and not even that, as in the kernel. */
export const poisonIterator = (frame: Frame, slot: number): void => {
  const reg = frame.stack[slot]?.reg as Reg;
  if ((reg.mods & Mod.Rcu) === 0) return;
  putIterator(frame, slot, iteratorSlot(reg, Mod.Untrusted, stageOf(reg), reg.subprog, reg.ref));
};
