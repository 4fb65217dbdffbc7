import { type AheadRange, type AheadRead, endOf, planReads } from "./ahead-plan.js";

/** A content that somebody wants later on. */
interface Wanted {
  /** How often. */
  uses: number;
  /** As stored. Null: not here. */
  packed: Uint8Array | null;
  /** Settles when it is here, or never comes. Null: nobody has asked for it yet. */
  coming: Promise<void> | null;
}

/** Reads under way at a time. */
const READS = 8;

/**
 * Reads what is wanted later on, in the background and several at once, and keeps it as it is stored. Who cannot wait reads for himself, beside these. A read that fails ends it: who
 * needs a content then reads it himself, and hears why it cannot be had.
 */
export class ReadAhead {
  readonly #wanted = new Map<number, Wanted>();
  #queue: readonly AheadRead[];
  #reading = 0;
  #taken = 0;

  /** @param ranges in the order in which they are needed; a content that is needed several times is there as often */
  constructor(ranges: readonly AheadRange[]) {
    const first: AheadRange[] = [];
    for (const range of ranges) {
      const wanted = this.#wanted.get(range.content);
      if (wanted !== undefined) wanted.uses++;
      else {
        this.#wanted.set(range.content, { uses: 1, packed: null, coming: null });
        first.push(range);
      }
    }
    this.#queue = planReads(first);
    this.#start();
  }

  /** Contents that had been read before they were needed. */
  get taken(): number {
    return this.#taken;
  }

  /** A content, if it is here. */
  take(content: number): Uint8Array | null {
    const wanted = this.#wanted.get(content);
    if (wanted === undefined || wanted.packed === null) return null;
    const { packed } = wanted;
    if (--wanted.uses === 0) this.#wanted.delete(content);
    this.#taken++;
    return packed;
  }

  /** A content, if it is here or on its way, for who can wait for that. Null: he reads it himself, and it is not read ahead any more. */
  async get(content: number): Promise<Uint8Array | null> {
    await this.#wanted.get(content)?.coming;
    const packed = this.take(content);
    if (packed === null) this.forget(content);
    return packed;
  }

  /** Somebody reads a content himself. */
  forget(content: number): void {
    this.#wanted.delete(content);
  }

  /** Asks for nothing more, and lets go of what is here. */
  close(): void {
    this.#queue = [];
    this.#wanted.clear();
  }

  #start(): void {
    while (this.#reading < READS) {
      const [next, ...rest] = this.#queue;
      if (next === undefined) return;
      this.#queue = rest;
      const [first, ...others] = next.filter(({ content }) => this.#wanted.has(content));
      if (first !== undefined) this.#begin([first, ...others]);
    }
  }

  #begin(read: AheadRead): void {
    this.#reading++;
    const coming = this.#read(read)
      .catch(() => {
        this.#queue = [];
        for (const { content } of read) this.#wanted.delete(content);
      })
      .then(() => {
        this.#reading--;
        this.#start();
      });
    for (const { content } of read) (this.#wanted.get(content) as Wanted).coming = coming;
  }

  async #read(read: AheadRead): Promise<void> {
    const [{ file, offset: from }] = read;
    const bytes = new Uint8Array(endOf(read) - from);
    if ((await file.read(from, bytes)) < bytes.length) throw new RangeError("the file has become shorter");
    for (const { content, offset, length } of read) {
      const wanted = this.#wanted.get(content);
      if (wanted !== undefined) wanted.packed = bytes.slice(offset - from, offset - from + length);
    }
  }
}
