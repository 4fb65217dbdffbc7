import type { Insn } from "../../src/isa/insn.js";
import { MapType } from "../../src/uapi/map-types.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { ALL, eq, fromBigInt } from "../../src/verifier/int64.js";
import type { Reg } from "../../src/verifier/reg.js";
import type { Verdict, VerifierMap } from "../../src/verifier/request.js";
import { has } from "../../src/verifier/scalar.js";
import type { State } from "../../src/verifier/state.js";
import { Byte, byteKind } from "../../src/verifier/state.js";
import { verify } from "../../src/verifier/verify.js";
import { type RunFrame, runChecked, type Value, Violation } from "./checking.js";
import { MAP_FD, VALUE_SIZE } from "./generate.js";
import { kernel } from "./kfunc-kernel.js";

/** "Abstract contains concrete": every run of an accepted program stays within what the verifier claimed before each instruction. */

const MAP: VerifierMap = { type: MapType.Array, keySize: 4, valueSize: VALUE_SIZE, maxEntries: 1, flags: 0 };

interface Claim {
  readonly state: State;
  /** Registers of each frame that something may still read. */
  readonly live: readonly number[];
}

interface Claims {
  readonly verdict: Verdict;
  readonly at: ReadonlyMap<number, readonly Claim[]>;
  /** All paths were followed, so that every number counts; else those only that a decision rested on. */
  readonly everything: boolean;
}

/** States that are remembered, over all instructions; programs with more are left out. */
const MOST = 8000;

/** Whether the program is accepted: with paths that are covered left out, in the order of the kernel or the other; undefined at a limit. */
export const isAccepted = (insns: readonly Insn[], prune: boolean, jumpFirst: boolean): boolean | undefined => {
  let count = 0;
  class TooMany extends Error {}
  try {
    const { accepted, errno } = verify({
      ...{ insns, type: ProgramType.RawTracepoint, maps: (fd) => (fd === MAP_FD ? MAP : undefined), prune, jumpFirst },
      kernelBtf: kernel,
      observe: () => {
        if (++count > MOST) throw new TooMany();
      },
    });
    return errno === "E2BIG" ? undefined : accepted;
  } catch (error) {
    if (error instanceof TooMany) return undefined;
    throw error;
  }
};

/** Verifies, and remembers the state before each instruction on each path; nothing where there are too many. */
export const collectClaims = (insns: readonly Insn[], everything: boolean): Claims | undefined => {
  const at = new Map<number, Claim[]>();
  let count = 0;
  class TooMany extends Error {}
  try {
    const verdict = verify({
      ...{
        insns,
        type: ProgramType.RawTracepoint,
        maps: (fd) => (fd === MAP_FD ? MAP : undefined),
        prune: !everything,
        kernelBtf: kernel,
      },
      observe: (pc, state, live) => {
        if (++count > MOST) throw new TooMany();
        const list = at.get(pc) ?? [];
        at.set(pc, list);
        list.push({ state: state.copy(), live: state.frames.map((_, frame) => live(frame)) });
      },
    });
    return { verdict, at, everything };
  } catch (error) {
    if (error instanceof TooMany) return undefined;
    throw error;
  }
};

const signed = (x: bigint): bigint => BigInt.asIntN(64, x);

const holds = (reg: Reg, value: Value | undefined, everything: boolean): boolean => {
  if (value === undefined) return reg.kind === "?";
  switch (reg.kind) {
    case "?":
      // Nothing is claimed, and nothing reads it.
      return true;
    case "scalar":
      if (!everything && !reg.precise) return true;
      return value.kind === "number" ? has(reg.v, fromBigInt(value.n)) : eq(reg.v.bits.mask, ALL);
    case "ctx":
    case "fp":
    case "map_value": {
      const kind = reg.kind === "fp" ? "stack" : reg.kind === "ctx" ? "ctx" : "map";
      if (value.kind !== kind) return false;
      return has(reg.v, fromBigInt(signed(value.at) - BigInt(reg.off)));
    }
    case "mem":
      return value.kind === "element" || (reg.mayBeNull && value.kind === "number" && value.n === 0n);
    default:
      return false;
  }
};

const slotHolds = (
  state: State,
  frames: readonly RunFrame[],
  frame: number,
  index: number,
  everything: boolean,
): boolean => {
  const slot = state.frames[frame]?.stack[index];
  const run = frames[frame];
  if (slot === undefined || run === undefined) return true;
  const at = 512 - 8 * (index + 1);
  const pointer = run.pointers.get(at);
  if (byteKind(slot, 7) === Byte.Spill && slot.reg !== undefined) {
    let size = 1;
    while (size < 8 && byteKind(slot, 7 - size) === Byte.Spill) size++;
    if (pointer !== undefined) return size < 8 || holds(slot.reg, pointer, everything);
    if (size < 8 || slot.reg.kind !== "scalar") return slot.reg.kind === "scalar";
    let n = 0n;
    for (let k = 7; k >= 0; k--) n = (n << 8n) | BigInt(run.stack[at + k] ?? 0);
    return holds(slot.reg, { kind: "number", n }, everything);
  }
  for (let byte = 0; byte < 8; byte++)
    if (byteKind(slot, byte) === Byte.Zero && (pointer !== undefined || run.stack[at + 7 - byte] !== 0)) return false;
  return true;
};

const stateHolds = ({ state, live }: Claim, frames: readonly RunFrame[], everything: boolean): boolean => {
  if (state.frames.length !== frames.length) return false;
  for (let f = 0; f < frames.length; f++) {
    for (let k = 0; k < 11; k++)
      // Where paths were left out, a register that nothing reads may hold anything.
      if (
        (everything || ((live[f] ?? 0) & (1 << k)) !== 0) &&
        !holds(state.frames[f]?.regs[k] as Reg, frames[f]?.regs[k], everything)
      )
        return false;
    // Where paths were left out, slots that nothing reads may hold anything: loads show what matters.
    if (everything) for (let k = 0; k < 64; k++) if (!slotHolds(state, frames, f, k, everything)) return false;
  }
  return true;
};

export interface RunInput {
  readonly context: readonly bigint[];
  readonly value: Uint8Array;
  readonly seed: number;
}

/** Runs an accepted program. @throws {Violation} where the run is in no claimed state, or does what it may not */
export const runWithin = (insns: readonly Insn[], claims: Claims, { context, value, seed }: RunInput): void => {
  let random = seed;
  runChecked({
    insns,
    context,
    value: value.slice(),
    fill: () => {
      random = (Math.imul(random, 1103515245) + 12345) >>> 0;
      return random >>> 24;
    },
    show: (pc, frames) => {
      const states = claims.at.get(pc) ?? [];
      if (states.some((claim) => stateHolds(claim, frames, claims.everything))) return;
      throw new Violation(
        `before insn ${pc} the run is in none of ${states.length} claimed states: ${frames[frames.length - 1]?.regs
          .map(
            (each, k) =>
              `R${k}=${each === undefined ? "?" : each.kind === "number" ? `0x${each.n.toString(16)}` : `${each.kind}${signed(each.at)}`}`,
          )
          .join(" ")}`,
      );
    },
  });
};
