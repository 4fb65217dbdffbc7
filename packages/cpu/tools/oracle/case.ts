import type { CodeBits } from "../replay/initial-state.js";
import { DESCRIPTORS, type Segments } from "../replay/segments.js";

/** What the recorder is asked to run. */
export interface Case {
  readonly id: number;
  /** Seed of the initial state, hexadecimal. */
  readonly seed: string;
  readonly code: Uint8Array;
  /** 1: an instruction alone, 2 to 8: a block. */
  readonly instructions: number;
  readonly bits: CodeBits;
  /** By number, as in `Overrides`. */
  readonly overrides: ReadonlyMap<number, bigint>;
  /** Local descriptors. */
  readonly segments?: Segments;
}

const MAX_OVERRIDES = 32;
const MAX_CODE = 128;
const VALUES = 16 + MAX_OVERRIDES;
const SEGMENTS = VALUES + 8 * MAX_OVERRIDES;
const CODE = SEGMENTS + 12 * DESCRIPTORS;
const BYTES = CODE + MAX_CODE;

/** Overrides a case may have: more do not fit the recorder's request. */
export const fits = ({ overrides, code }: Case): boolean =>
  overrides.size <= MAX_OVERRIDES && code.length <= MAX_CODE - 1;

/** The cases as the recorder reads them: `struct request` of recorder.c. */
export function encodeCases(cases: readonly Case[]): Uint8Array {
  const bytes = new Uint8Array(cases.length * BYTES);
  const view = new DataView(bytes.buffer);
  cases.forEach((c, n) => {
    const at = n * BYTES;
    view.setBigUint64(at, BigInt(`0x${c.seed}`), true);
    view.setUint32(at + 8, c.id, true);
    bytes.set([c.code.length, c.instructions, c.overrides.size, c.bits], at + 12);
    [...c.overrides].forEach(([what, value], k) => {
      bytes[at + 16 + k] = what;
      view.setBigUint64(at + VALUES + 8 * k, BigInt.asUintN(64, value), true);
    });
    for (const [seg, { base, limit, attributes }] of c.segments ?? []) {
      view.setUint32(at + SEGMENTS + 12 * seg, base, true);
      view.setUint32(at + SEGMENTS + 12 * seg + 4, limit, true);
      view.setUint32(at + SEGMENTS + 12 * seg + 8, attributes, true);
    }
    bytes.set(c.code, at + CODE);
  });
  return bytes;
}
