import { classify, classifyBlock } from "../replay/classify.js";
import { Blank, Override } from "../replay/initial-state.js";
import type { Vector } from "../replay/vector.js";
import { type Case, fits } from "./case.js";
import type { Recorder } from "./recorder.js";

/** A case made simpler, or null where this way of doing so does not apply. */
type Reduction = (from: Case) => Case | null;

/** Rounds after which a case is simple enough. */
const MAX_ROUNDS = 8;

/**
 * Makes a case simpler for as long as it differs: fewer instructions and prefixes, parts of the state zero, fewer overrides.
 * @param differs whether the executor does not do what was recorded
 * @returns what the recorder says about the simplest case found
 */
export async function shrink(start: Case, recorder: Recorder, differs: (vector: Vector) => boolean): Promise<Vector> {
  let current = start;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const smaller = await step(current, recorder, differs);
    if (smaller === null) break;
    current = smaller;
  }
  const [vector] = await recorder.record([current]);
  return vector as Vector;
}

/** Applies what can be applied of the reductions, or null if none can. */
async function step(from: Case, recorder: Recorder, differs: (vector: Vector) => boolean): Promise<Case | null> {
  const possible = reductions(from).flatMap((reduce) => {
    const made = reduce(from);
    return made === null || !fits(made) ? [] : [{ reduce, made }];
  });
  const still = async (cases: readonly Case[]): Promise<boolean[]> =>
    (await recorder.record(cases)).map((vector) => differs(vector));
  const alone = await still(possible.map(({ made }) => made));
  const good = possible.filter((_, k) => alone[k]);
  if (good.length === 0) return null;
  const all = good.reduce<Case | null>((made, { reduce }) => (made === null ? null : (reduce(made) ?? made)), from);
  if (all !== null && fits(all) && (await still([all]))[0]) return all;
  let current = from;
  for (const { reduce } of good) {
    const made = reduce(current);
    if (made !== null && fits(made) && (await still([made]))[0]) current = made;
  }
  return current === from ? (good[0] as { made: Case }).made : current;
}

function reductions(from: Case): Reduction[] {
  const list: Reduction[] = [];
  for (let k = 0; k < from.instructions && from.instructions > 1; k++) list.push(withoutInstruction(from, k));
  for (let k = 0; k < from.code.length && from.instructions === 1; k++) list.push(withoutByte(from, k));
  for (let bit = 0; bit < 64; bit++) if (isBlank(bit)) list.push(blanked(bit));
  const pinned = pinnedOverrides(from);
  for (const what of from.overrides.keys())
    if (what !== Override.Blank && !pinned.has(what)) list.push(withoutOverride(what));
  return list;
}

/** EAX and EDX of XSAVE and its kin must not name state components that only the host has. */
function pinnedOverrides({ code, bits }: Case): ReadonlySet<number> {
  const components = classifyBlock(code, bits)?.some(({ mnemonic }) => /^x(save|rstor)/.test(mnemonic));
  return new Set(components ? [0, 2] : []);
}

const isBlank = (bit: number): boolean => bit !== 4 && (bit <= Blank.X87 || bit >= Blank.Memory);

/** Only one instruction less a round: the numbers of the others would change. */
const withoutInstruction =
  (original: Case, k: number): Reduction =>
  (from) => {
    if (from.code !== original.code) return null;
    const insns = classifyBlock(from.code, from.bits);
    if (insns === null) return null;
    const start = insns.slice(0, k).reduce((sum, { length }) => sum + length, 0);
    const end = start + (insns[k]?.length ?? 0);
    return { ...from, code: without(from.code, start, end), instructions: from.instructions - 1 };
  };

/** Removes a prefix: the code stays the same instruction. */
const withoutByte =
  (original: Case, k: number): Reduction =>
  (from) => {
    if (from.code !== original.code || from.code.length < 2) return null;
    const code = without(from.code, k, k + 1);
    const [old, now] = [classify(from.code, from.bits), classify(code, from.bits)];
    return now !== null && now.length === code.length && now.code === old?.code ? { ...from, code } : null;
  };

const without = (bytes: Uint8Array, start: number, end: number): Uint8Array =>
  Uint8Array.from([...bytes.subarray(0, start), ...bytes.subarray(end)]);

const blanked =
  (bit: number): Reduction =>
  (from) => {
    const mask = from.overrides.get(Override.Blank) ?? 0n;
    if ((mask >> BigInt(bit)) & 1n) return null;
    return { ...from, overrides: sorted([...from.overrides, [Override.Blank, mask | (1n << BigInt(bit))]]) };
  };

const withoutOverride =
  (what: number): Reduction =>
  (from) => {
    if (!from.overrides.has(what)) return null;
    return { ...from, overrides: new Map([...from.overrides].filter(([other]) => other !== what)) };
  };

const sorted = (entries: readonly (readonly [number, bigint])[]): Map<number, bigint> =>
  new Map([...new Map(entries)].sort(([a], [b]) => a - b));
