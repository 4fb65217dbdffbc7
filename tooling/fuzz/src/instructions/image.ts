import { Random } from "../random.js";
import * as L from "./layout.js";
import { writePageTables } from "./page-tables.js";
import { chooseMode, type Mode } from "./start.js";
import { stream } from "./streams.js";
import { handler, writeGdt, writeIdt, writeTss } from "./tables.js";

/** What a world begins with; a function of the seed. Several processors begin in the same mode, the one that the tables are made for. */
export interface Image {
  readonly seed: number;
  readonly mode: Mode;
  /** Guest memory from 0. */
  readonly low: Uint8Array;
  /** Guest memory from `UPPER_RAM`. */
  readonly upper: Uint8Array;
}

/** Share of pages filled with random bytes, percent. */
const NOISY_PAGES = 30;

export function imageOf(seed: number): Image {
  const random = new Random(seed);
  const mode = chooseMode(random);
  const low = new Uint8Array(L.RAM);
  const view = new DataView(low.buffer);
  const write = (gpa: number, lo: number, hi: number): void => {
    view.setInt32(gpa, lo, true);
    view.setInt32(gpa + 4, hi, true);
  };
  for (let gpa = L.DATA; gpa < L.RAM; gpa += 4096)
    if (random.chance(NOISY_PAGES)) random.fill(new Int32Array(low.buffer, gpa, 1024));
  writeGdt(random, mode, write);
  writeTss(random, mode, write);
  for (let vector = 0; vector < 64; vector++) low.set(handler(vector, random, mode), L.HANDLERS + 32 * vector);
  writeIdt(random, mode, write);
  writePageTables(random, mode, write);
  low.set(stream(random, mode, L.CODE_BYTES), L.CODE);
  return { seed, mode, low, upper: stream(random, mode, 1024) };
}
