import { Command, MapType } from "../../src/index.js";
import { START } from "./caller.js";
import { type Buffer, type IdAt, type Patch, type Step, slotAt } from "./script.js";

const ATTRIBUTES = 152;
const LRU: readonly number[] = [MapType.LruHash, MapType.LruPercpuHash];

/** Random numbers that are the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
}

/** A map that a script has made, or tried to. */
export interface MadeMap {
  readonly step: number;
  readonly type: number;
  readonly keySize: number;
  /** As bpf(2) has it. */
  readonly valueSize: number;
  readonly maxEntries: number;
  /** What bpf(2) reads of a list in a value is where the kernel keeps it. */
  readonly hidden: boolean;
}

/** Attributes by their offsets. */
export type Fields = Readonly<Record<number, number | bigint | Uint8Array>>;

/** What all parts of a script are made with. */
export class ScriptWriter {
  protected readonly random: () => number;
  protected readonly steps: Step[] = [];
  protected maps: MadeMap[] = [];
  protected programs: { readonly step: number; readonly type: number }[] = [];
  protected btfs: number[] = [];

  constructor(
    seed: number,
    readonly cpus: number,
    /** Whether things are pinned, too. */
    readonly pins = false,
  ) {
    this.random = randomOf(seed);
  }

  protected below = (end: number): number => this.random() % end;
  protected chance = (percent: number): boolean => this.below(100) < percent;
  protected one = <T>(of: readonly T[]): T => of[this.below(of.length)] as T;
  protected odd = (): number => this.one([0, 1, 2, 3, 4, 5, 8, 9, 16, 64, 128, 4096, 0x7fff, 0xffffffff]);
  protected bytes = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => this.below(256));
  protected map = (): MadeMap | undefined => (this.maps.length === 0 ? undefined : this.one(this.maps));
  /** A descriptor: now and then one of something else. */
  protected fd = (step: number | undefined): number =>
    this.chance(4) || step === undefined ? this.one([-1, -2, -3, -4, ...this.btfs]) : step;

  protected slot = (k: number): bigint => BigInt(this.chance(2) ? this.one([0, 0x1000, START - 4096]) : slotAt(k));

  protected push(
    about: string,
    command: number,
    fields: Fields,
    rest: { patches?: Patch[]; buffers?: Buffer[]; outputs?: number[]; ids?: IdAt[] } = {},
  ): number {
    const attr = new Uint8Array(256);
    const view = new DataView(attr.buffer);
    for (const [key, value] of Object.entries(fields)) {
      if (typeof value === "number") view.setUint32(Number(key), value >>> 0, true);
      else if (typeof value === "bigint") view.setBigUint64(Number(key), BigInt.asUintN(64, value), true);
      else attr.set(value, Number(key));
    }
    const { patches = [], buffers = [], outputs = [], ids = [] } = rest;
    let size = this.chance(3) ? this.one([0, 3, 4, 8, 12, 20, 32, 48, 72, 120, 144, 160, 200, 4096, 4097]) : ATTRIBUTES;
    const word = this.below(36);
    // Sizes of maps stay small: the kernel may have the memory.
    const odd = command === Command.MapCreate && word >= 1 && word <= 3 ? this.below(4097) : this.odd();
    // What goes of a full table of the least recently used, only the table knows.
    const full = command === Command.MapCreate && word === 3 && LRU.includes(view.getUint32(0, true));
    if (this.chance(5) && !full) view.setUint32(4 * word, odd, true);
    if (this.chance(1)) attr[size > ATTRIBUTES ? 230 : 150] = 1;
    if (size > 256) size = this.one([256, 4097]);
    this.steps.push({ kind: "call", command, size, attr, patches, buffers, outputs, ids, about });
    return this.steps.length - 1;
  }
}
