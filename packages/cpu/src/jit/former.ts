import type { CodeCache, CodePage } from "../code/cache.js";
import { type Heads, Warmth } from "../code/heads.js";
import { Flow } from "../code/instance.js";
import { DecodeStatus, decode, Insn } from "../decode/index.js";
import type { Block, End, RegionPage, Shape, Target } from "./blocks.js";
import { type Effects, regular } from "./effects.js";
import type { Piece } from "./piece.js";

/** How far a region goes. */
export interface Reach {
  /** Instructions, at most. */
  readonly pieces: number;
  /** Into what is called, and into what has a region of its own. */
  readonly beyond: boolean;
}

/** For what is hot. */
export const NEAR: Reach = { pieces: 120, beyond: false };
/** For what is entered time and again. */
export const WIDE: Reach = { pieces: 400, beyond: true };

const MAX_PAGES = 8;
/** Returns that one return instruction is compared with, at most. */
const MAX_RETURNS = 4;

/** The code page that is mapped at `distance` bytes from the region's first page, if any. */
export type PageAt = (distance: number) => CodePage | null;

/** An instruction that was walked over. */
interface Step {
  readonly piece: Piece;
  readonly effects: Effects;
  readonly page: RegionPage;
  /** Where a taken branch leads, if that is in the region; keys. */
  taken: number | null;
  readonly next: number;
  /** The function it was found in: key of where it was come to by a call. */
  readonly home: number;
}

/** Finds the instructions that are worth one function, from a hot head on. */
export class Former {
  readonly #cache: CodeCache;
  readonly #heads: Heads;
  readonly #u8: Uint8Array;
  readonly #pageAt: PageAt;
  readonly #pages: RegionPage[] = [];
  readonly #steps = new Map<number, Step>();
  readonly #leaders: number[] = [];
  readonly #isLeader = new Set<number>();
  /** Leaders still to be walked from, those of the function first. */
  readonly #near: { key: number; home: number }[] = [];
  readonly #far: { key: number; home: number }[] = [];
  readonly #homes = new Map<number, number>();
  readonly #returns: { key: number; callee: number }[] = [];
  readonly #reach: Reach;
  readonly #claimed: ReadonlySet<number>;
  readonly #entries = new Set<number>();

  /** @param claimed heads that other regions are about to take */
  constructor(
    memory: WebAssembly.Memory,
    cache: CodeCache,
    heads: Heads,
    pageAt: PageAt,
    reach: Reach,
    claimed: ReadonlySet<number>,
  ) {
    this.#reach = reach;
    this.#claimed = claimed;
    this.#cache = cache;
    this.#heads = heads;
    this.#u8 = new Uint8Array(memory.buffer);
    this.#pageAt = pageAt;
  }

  /** What becomes a region that is entered at `offset` of `page`; null if that instruction is not for regions. */
  form(page: CodePage, offset: number): Shape | null {
    this.#pages.push({ code: page, distance: 0 });
    this.#lead(offset, offset, this.#near);
    for (;;) {
      const next = this.#near.shift() ?? this.#far.shift();
      if (next === undefined || this.#steps.size >= this.#reach.pieces) break;
      this.#walk(next.key, next.home);
    }
    return this.#shape();
  }

  /** Key of an instruction: number of its page and offset. */
  #page(key: number): RegionPage {
    return this.#pages[key >> 12] as RegionPage;
  }

  #lead(key: number, home: number, queue: { key: number; home: number }[]): number {
    if (!this.#isLeader.has(key)) {
      this.#isLeader.add(key);
      this.#leaders.push(key);
      queue.push({ key, home });
    }
    return key;
  }

  #home(key: number): number {
    let at = key;
    for (let up = this.#homes.get(at); up !== undefined; up = this.#homes.get(at)) at = up;
    return at;
  }

  #sameHome(a: number, b: number): void {
    const [x, y] = [this.#home(a), this.#home(b)];
    if (x !== y) this.#homes.set(x, y);
  }

  #walk(leader: number, home: number): void {
    let key = leader;
    for (;;) {
      const known = this.#steps.get(key);
      if (known !== undefined) {
        this.#sameHome(home, known.home);
        if (!this.#isLeader.has(key)) this.#leaders.push(key);
        this.#isLeader.add(key);
        return;
      }
      if (this.#steps.size >= this.#reach.pieces) return;
      if (key !== this.#leaders[0] && this.#apart(key)) return;
      const step = this.#step(key, home);
      if (step === null) return;
      this.#steps.set(key, step);
      const { flow, name } = step.piece.instance;
      if (flow === Flow.Branch || flow === Flow.Jump) {
        const call = name === "call";
        const target = call && !this.#reach.beyond ? null : this.#target(step, key);
        if (target !== null) {
          step.taken = this.#lead(target, call ? target : home, call ? this.#far : this.#near);
          if (call) this.#returns.push({ key: step.next, callee: target });
        }
        if (call) this.#enter(step.next, key, home);
      } else if (flow === Flow.End) this.#jump(step, key, home);
      if (flow === Flow.Branch && this.#inPage(step.next, key)) this.#lead(step.next, home, this.#near);
      if (flow !== Flow.Through || !this.#inPage(step.next, key)) return;
      key = step.next;
    }
  }

  /** Control may come to `next` from elsewhere: behind a call, or through a table. */
  #enter(next: number, key: number, home: number): void {
    if (!this.#inPage(next, key) || !this.#warmAt(next) || this.#apart(next)) return;
    this.#lead(next, home, this.#near);
    if (this.#page(next).distance === 0) this.#entries.add(next);
  }

  /** A jump that may lead to several places of its page, or a call behind which control comes back. */
  #jump({ piece, page, next }: Step, key: number, home: number): void {
    const { name } = piece.instance;
    if (name === "callr") this.#enter(next, key, home);
    if (name === "ret" || !this.#reach.beyond || page.distance !== 0) return;
    for (const offset of this.#heads.found(page.code)) this.#enter((key & ~0xfff) | offset, key, home);
  }

  /** Whether a region of its own is left to do what is at `key`. */
  #apart(key: number): boolean {
    if (this.#reach.beyond) return false;
    const record = this.#cache.recordAt(this.#page(key).code, key & 0xfff);
    return record !== 0 && (this.#heads.isEntered(record) || this.#claimed.has(record));
  }

  #inPage(next: number, key: number): boolean {
    return next >> 12 === key >> 12;
  }

  #warmAt(key: number): boolean {
    const record = this.#cache.recordAt(this.#page(key).code, key & 0xfff);
    return record !== 0 && this.#heads.warm(record);
  }

  /** The instruction at `key`, or null if it is not for regions. */
  #step(key: number, home: number): Step | null {
    const page = this.#page(key);
    const { code } = page;
    const offset = key & 0xfff;
    const record = this.#cache.recordAt(code, offset);
    if (record === 0) return null;
    const insn = new Insn();
    if (decode(this.#u8, code.host + offset, code.host + 4096, code.mode, insn) !== DecodeStatus.Ok) return null;
    const known = regular(insn, offset, this.#heads.plain(record));
    if (known === null) return null;
    return { ...known, page, taken: null, next: key + insn.len, home };
  }

  /** Key of a direct branch's target, if it is warm. */
  #target({ piece, page }: Step, key: number): number | null {
    const { insn } = piece.instance;
    const warmth = this.#heads.warmth(piece.record);
    if (warmth === Warmth.Cold) return null;
    const sum = (insn.immLo | 0) + piece.offset + insn.len;
    if (warmth === Warmth.Warm) return (key & ~0xfff) | sum;
    const distance = page.distance + Math.floor(sum / 4096) * 4096;
    const number = this.#pageNumber(distance);
    if (number < 0) return null;
    const target = (number << 12) | (sum & 0xfff);
    return this.#warmAt(target) ? target : null;
  }

  #pageNumber(distance: number): number {
    const known = this.#pages.findIndex((page) => page.distance === distance);
    if (known >= 0 || this.#pages.length === MAX_PAGES) return known;
    const code = this.#pageAt(distance);
    if (code === null || code.mode !== 64) return -1;
    return this.#pages.push({ code, distance }) - 1;
  }

  // Blocks

  #shape(): Shape | null {
    const [first] = this.#leaders;
    const leaders = this.#leaders.filter((key) => this.#steps.has(key));
    if (first === undefined || leaders[0] !== first) return null;
    const numbers = new Map(leaders.map((key, number) => [key, number]));
    const others = this.#reach.beyond ? this.#entries : leaders.filter((key) => this.#page(key).distance === 0);
    const entries = [first, ...others].filter((key, k) => (k === 0 || key !== first) && this.#steps.has(key));
    return {
      blocks: leaders.map((key) => this.#block(key, numbers)),
      entries: entries
        .map((key) => ({
          block: numbers.get(key) as number,
          head: this.#cache.recordAt(this.#page(key).code, key & 0xfff),
        }))
        .filter(({ head }) => this.#heads.isHead(head)),
    };
  }

  #block(leader: number, numbers: ReadonlyMap<number, number>): Block {
    const pieces: Piece[] = [];
    const effects: Effects[] = [];
    const page = this.#page(leader);
    for (let key = leader; ; ) {
      const step = this.#steps.get(key) as Step;
      pieces.push(step.piece);
      effects.push(step.effects);
      const end = this.#end(step, key, numbers);
      if (end !== null) return { page, offset: leader & 0xfff, pieces, effects, end };
      key = step.next;
    }
  }

  /** How the block ends behind `step`, or null if it goes on. */
  #end(step: Step, key: number, numbers: ReadonlyMap<number, number>): End | null {
    const { flow } = step.piece.instance;
    const taken = (): Target => {
      const block = step.taken === null ? undefined : numbers.get(step.taken);
      if (block !== undefined) return { to: "block", block };
      return { to: "link", branch: step.piece.record };
    };
    switch (flow) {
      case Flow.Branch:
        return { kind: "branch", taken: taken(), next: this.#after(step, key, numbers) };
      case Flow.Jump: {
        const to = taken();
        return this.#call(step, to, numbers) ?? { kind: "branch", taken: to, next: null };
      }
      case Flow.End:
        if (step.piece.instance.name === "ret") return { kind: "return", candidates: this.#candidates(step, numbers) };
        return this.#call(step, null, numbers) ?? { kind: "jump" };
      default:
        if (!numbers.has(step.next) && this.#inPage(step.next, key) && this.#steps.has(step.next)) return null;
        return { kind: "next", next: this.#after(step, key, numbers) };
    }
  }

  /** How a block ends with a call of what is elsewhere, if it does and the region goes on behind it. Only where it is hot that is worth its code. */
  #call({ piece, next }: Step, to: Target | null, numbers: ReadonlyMap<number, number>): End | null {
    const back = numbers.get(next);
    const { name } = piece.instance;
    if (!this.#reach.beyond || back === undefined || to?.to === "block") return null;
    if (name !== "call" && name !== "callr") return null;
    return { kind: "call", to, back };
  }

  #after(step: Step, key: number, numbers: ReadonlyMap<number, number>): Target {
    const offset = step.piece.offset + step.piece.instance.insn.len;
    if (!this.#inPage(step.next, key)) return { to: "address", offset };
    const block = numbers.get(step.next);
    if (block !== undefined) return { to: "block", block };
    const record = this.#cache.recordAt(step.page.code, offset);
    if (record === 0) return { to: "address", offset };
    // Where it was only too far to go on, another region can.
    const far = this.#steps.size >= this.#reach.pieces;
    return { to: "record", record: far ? this.#heads.maybe(step.page.code, offset, record) : record };
  }

  #candidates({ home }: Step, numbers: ReadonlyMap<number, number>): number[] {
    const callers = this.#returns.filter(({ callee }) => this.#home(callee) === this.#home(home));
    const blocks = callers.map(({ key }) => numbers.get(key)).filter((block) => block !== undefined);
    return [...new Set(blocks)].slice(0, MAX_RETURNS);
  }
}
