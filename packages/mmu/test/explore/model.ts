/** What must be true whenever all tasks have stopped. */
import type { Folio } from "../../src/gmem/folio.js";
import { FIRST_GFN, type Host, PAGE, PAGES } from "./host.js";

/** Something that a task is about to do to the content of pages. */
export interface Intent {
  /** First word of pages that are written; 0 for a page that is removed. */
  readonly stamp: number;
  /** Whether it is about pages of the guest_memfd, or of the process. */
  readonly where: "gmem" | "user";
  readonly first: number;
  readonly count: number;
  done: boolean;
  /** It was one page, and the task was told that it is written. */
  mustLand: boolean;
  landed: boolean;
}

export class Model {
  /** Pages that a device of the host has pinned. */
  readonly pins = new Set<Folio>();
  readonly #intents = new Set<Intent>();
  /** Content of the pages as last seen; null while there is no page. */
  readonly #content = {
    gmem: new Array<number | null>(PAGES).fill(null),
    user: new Array<number | null>(PAGES).fill(null),
  };
  #stamp = 0;

  constructor(readonly host: Host) {}

  /** A value that no page has had. */
  newStamp(): number {
    return ++this.#stamp;
  }

  /** From now until `done` is set, pages may change accordingly. */
  intend(where: Intent["where"], first: number, count: number, stamp: number): Intent {
    const intent = { where, first, count, stamp, done: false, mustLand: false, landed: false };
    this.#intents.add(intent);
    return intent;
  }

  check(): void {
    for (const problem of this.host.problems) throw new Error(problem);
    for (let index = 0; index < PAGES; index++) {
      this.#checkHost(index);
      this.#checkGuest(index);
      this.#checkContent("gmem", index, this.host.gmemFrame(index));
      if (!this.host.sharedInFile) this.#checkContent("user", index, this.host.userFrame(index));
    }
    for (const intent of this.#intents) if (intent.mustLand && !intent.landed) this.#checkLost(intent);
    for (const intent of this.#intents) if (intent.done) this.#intents.delete(intent);
  }

  /** What was written has been there, unless somebody else has been at the page as well. */
  #checkLost(intent: Intent): void {
    const { where, first, stamp } = intent;
    for (const other of this.#intents)
      if (other !== intent && other.where === where && first >= other.first && first < other.first + other.count)
        return;
    throw new Error(`${stamp} was written to ${where} page ${first}, and nobody has seen it there`);
  }

  /** Nothing of the host's refers to a private page. */
  #checkHost(index: number): void {
    const { host } = this;
    const folio = host.gmem.inode.peek(index);
    const isPrivate = host.isPrivate(index);
    if (folio !== undefined && isPrivate && this.pins.has(folio)) throw new Error(`private page ${index} is pinned`);
    const user = host.sharedInFile ? host.userFrame(index) : 0;
    if (user === 0) return;
    if (isPrivate) throw new Error(`the host has private page ${index} mapped`);
    if (user !== folio?.pfn)
      throw new Error(`the host has frame ${user} mapped as page ${index}, which is ${folio?.pfn}`);
  }

  /** Page tables and TLBs have what is there, of the kind it is. */
  #checkGuest(index: number): void {
    const { host } = this;
    const gfn = FIRST_GFN + index;
    for (const isPrivate of [false, true]) {
      const expected = this.frameOf(index, isPrivate);
      const mapped = host.spteFrame(gfn, isPrivate);
      const shared = host.tdp.mirror === null ? this.frameOf(index, !isPrivate) : 0;
      if (mapped !== 0 && mapped !== expected && mapped !== shared)
        throw new Error(
          `guest frame ${gfn} is mapped to ${mapped}; ${isPrivate ? "private" : "shared"} is ${expected}`,
        );
      const cached = host.tlb.get(`${gfn} ${isPrivate}`)?.pfn ?? 0;
      if (cached !== 0 && cached !== expected)
        throw new Error(`a TLB has ${gfn} at ${cached}; ${isPrivate ? "private" : "shared"} is ${expected}`);
      if (isPrivate && host.secureEpt !== null && (host.secureEpt.leaves.get(gfn) ?? 0) !== mapped)
        throw new Error(`the secure EPT does not have guest frame ${gfn} at ${mapped}`);
    }
  }

  /** The frame that the guest may use for page `index` as memory of a kind; -1 if none. */
  frameOf(index: number, isPrivate: boolean): number {
    const { host } = this;
    if (host.slot === null || host.isPrivate(index) !== isPrivate) return -1;
    if (!isPrivate && !host.sharedInFile) return host.userFrame(index);
    return host.slot.gmem === null ? -1 : host.gmemFrame(index);
  }

  #checkContent(where: Intent["where"], index: number, pfn: number): void {
    const before = this.#content[where][index] ?? null;
    const now = pfn === 0 ? null : this.host.stampIn(pfn);
    this.#content[where][index] = now;
    for (const intent of this.#intents)
      if (intent.where === where && intent.first === index && intent.stamp === now) intent.landed = true;
    if (now === before || (before === null && now === 0)) return;
    for (const intent of this.#intents) {
      if (intent.where !== where || index < intent.first || index >= intent.first + intent.count) continue;
      if (intent.stamp === (now ?? 0)) return;
    }
    throw new Error(`${where} page ${index} was ${before} and is ${now}, which nobody did`);
  }
}

/** The check of the end: nobody has anything left. */
export function checkNothingLeft(host: Host): void {
  const { arena, mm, tlb, secureEpt } = host;
  const mapped = (index: number): boolean =>
    [false, true].some((kind) => host.spteFrame(FIRST_GFN + index, kind) !== 0);
  const left = {
    frames: arena.taken,
    "reserved frames": arena.capacity - arena.available,
    "user mappings": mm.mapped,
    "TLB entries": tlb.size,
    SPTEs: [...Array(PAGES).keys()].filter(mapped).length,
    "pages of the secure EPT": secureEpt?.leaves.size ?? 0,
  };
  for (const [what, count] of Object.entries(left)) if (count !== 0) throw new Error(`${count} ${what} left`);
}

export const byteOf = (stamp: number): Uint8Array => new Uint8Array(Uint32Array.of(stamp).buffer);
export const pageAddr = ({ userAddr }: Host, index: number): number => userAddr + index * PAGE;
