import { classify, classifyBlock } from "../replay/classify.js";
import { Replayer } from "../replay/replay.js";
import type { Vector } from "../replay/vector.js";
import type { Case } from "./case.js";
import type { Recorder } from "./recorder.js";
import { shrink } from "./shrink.js";

/** What was found about one mnemonic. */
export interface Tally {
  cases: number;
  differences: number;
}

/** The first difference of an instruction code, as simple as it could be made. */
export interface Found {
  readonly vector: Vector;
  /** iced-x86 `Code`. */
  readonly code: string;
  readonly details: readonly string[];
}

export interface Report {
  readonly cases: number;
  readonly differences: number;
  /** By mnemonic; a block counts for each of its instructions, a difference for the one it shows at. */
  readonly mnemonics: ReadonlyMap<string, Tally>;
  readonly found: readonly Found[];
  /** Code of the cases from which the recorder's processor, or the kernel under it, did not come back. */
  readonly lost: readonly string[];
  /** How often what a vendor's processors do otherwise was seen, by its name. */
  readonly vendors: ReadonlyMap<string, number>;
}

export interface DifferentialOptions {
  readonly cases: Iterable<Case>;
  readonly recorder: Recorder;
  readonly replayer?: Replayer;
  /** Called behind every batch. */
  readonly onProgress?: (cases: number, differences: number) => void;
  readonly onFound?: (found: Found) => void;
  readonly onVector?: (vector: Vector) => void;
  /** Ends the run behind the current batch. */
  readonly signal?: AbortSignal;
}

const BATCH = 1000;
/** Differences that are made simpler, at most, for each instruction code. */
const SHRUNK_PER_CODE = 1;

/** Has every case recorded, runs it on the vCPU and compares. */
export async function differential(options: DifferentialOptions): Promise<Report> {
  const { cases, recorder, replayer = new Replayer(), signal } = options;
  const mnemonics = new Map<string, Tally>();
  const found: Found[] = [];
  const shrunk = new Map<string, number>();
  const vendors = new Map<string, number>();
  const lost: string[] = [];
  let count = 0;
  let differences = 0;
  for (const batch of batches(cases)) {
    const vectors = await recorder.record(batch);
    for (const [k, vector] of vectors.entries()) {
      count++;
      if (isLost(vector)) {
        lost.push(vector.c);
        continue;
      }
      options.onVector?.(vector);
      for (const name of mnemonicsOf(batch[k] as Case)) tally(mnemonics, name).cases++;
      const judged = replayer.run(vector);
      if (judged.vendor !== undefined) vendors.set(judged.vendor, (vendors.get(judged.vendor) ?? 0) + 1);
      if (judged.verdict === "vendor" || judged.verdict === "pass" || judged.verdict === "notOffered") continue;
      differences++;
      tally(mnemonics, judged.mnemonic).differences++;
      const before = shrunk.get(judged.code) ?? 0;
      shrunk.set(judged.code, before + 1);
      if (before >= SHRUNK_PER_CODE || signal?.aborted) continue;
      const simplest = await shrink(batch[k] as Case, recorder, (v) => isDifference(replayer, v));
      const { code, details } = replayer.run(simplest);
      found.push({ vector: simplest, code, details });
      options.onFound?.({ vector: simplest, code, details });
    }
    options.onProgress?.(count, differences);
    if (signal?.aborted) break;
  }
  return { cases: count, differences, mnemonics, found, lost, vendors };
}

/** What recorder.c notes in place of an exception. */
const NO_ANSWER = 256;

const isLost = ({ x }: Vector): boolean => x?.[0] === NO_ANSWER;

function isDifference(replayer: Replayer, vector: Vector): boolean {
  if (isLost(vector)) return false;
  const { verdict } = replayer.run(vector);
  return verdict === "fail" || verdict === "crash";
}

function* batches(cases: Iterable<Case>): Generator<Case[]> {
  let batch: Case[] = [];
  for (const one of cases) {
    batch.push(one);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

function tally(mnemonics: Map<string, Tally>, name: string): Tally {
  const known = mnemonics.get(name);
  if (known !== undefined) return known;
  const fresh = { cases: 0, differences: 0 };
  mnemonics.set(name, fresh);
  return fresh;
}

function mnemonicsOf({ code, bits, instructions }: Case): readonly string[] {
  if (instructions === 1) return [classify(code, bits)?.mnemonic ?? "?"];
  return classifyBlock(code, bits)?.map(({ mnemonic }) => mnemonic) ?? ["?"];
}
