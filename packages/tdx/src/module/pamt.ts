import { PAGE_BYTES, PageSize, PageType } from "./page-type.js";
import type { PhysicalRange } from "./platform.js";
import { WordLock } from "./try-lock.js";

const FRAMES = 512;
/** Bytes that are looked at together. */
const WORD = 4;
const BLOCK = PAGE_BYTES[PageSize.Size1G];

/** Entries of one level in a block of 1 GiB. */
class Entries {
  readonly types: Uint8Array;
  /** Physical address of the owner's TDR. */
  readonly owners: Float64Array;
  readonly epochs: Float64Array;
  /** Words of the locks. */
  readonly locks: Uint16Array;

  constructor(count: number) {
    this.types = new Uint8Array(count);
    this.owners = new Float64Array(count);
    this.epochs = new Float64Array(count);
    this.locks = new Uint16Array(count);
  }
}

/** One entry of the PAMT: what a page of one size is used for, by whom. Its first 16 bits are the page's lock. */
export class PamtEntry extends WordLock {
  constructor(
    readonly size: PageSize,
    readonly entries: Entries,
    readonly index: number,
  ) {
    super();
  }

  get type(): PageType {
    return this.entries.types[this.index] as PageType;
  }

  set type(type: PageType) {
    this.entries.types[this.index] = type;
  }

  /** Physical address of the TDR of the TD that owns the page; 0 for pages without an owner. */
  get owner(): number {
    return this.entries.owners[this.index] as number;
  }

  set owner(tdr: number) {
    this.entries.owners[this.index] = tdr;
  }

  /** The TD's epoch when the page was blocked. */
  get bepoch(): number {
    return this.entries.epochs[this.index] as number;
  }

  set bepoch(epoch: number) {
    this.entries.epochs[this.index] = epoch;
  }

  protected get withHostPriority(): boolean {
    return true;
  }

  protected get word(): number {
    return this.entries.locks[this.index] as number;
  }

  protected set word(word: number) {
    this.entries.locks[this.index] = word;
  }
}

/** The metadata of 1 GiB of physical memory: an entry for it, 512 for its 2 MiB and 262144 for its 4 KiB pages. */
export class Block {
  readonly levels = [new Entries(FRAMES * FRAMES), new Entries(FRAMES), new Entries(1)] as const;

  /** Those of the larger pages, which every way to a smaller one goes by, as far as they were asked for. */
  readonly #large: PamtEntry[][] = [[], [], []];

  constructor(readonly base: number) {}

  /** The entry of the page of `size` that contains `hpa`. */
  entry(hpa: number, size: PageSize): PamtEntry {
    const index = Math.floor((hpa - this.base) / PAGE_BYTES[size]);
    if (size === PageSize.Size4K) return new PamtEntry(size, this.levels[size], index);
    const known = this.#large[size] as PamtEntry[];
    known[index] ??= new PamtEntry(size, this.levels[size], index);
    return known[index];
  }
}

const isUsed = (type: number): boolean => type !== PageType.Nda && type !== PageType.Rsvd;

/** Index of the first entry from `from` on that is in use, or -1. Most are not: eight at a time. */
function nextUsed(types: Uint8Array, from: number): number {
  let i = from;
  for (; i < types.length && i % WORD !== 0; i++) if (isUsed(types[i] as number)) return i;
  const words = new Uint32Array(types.buffer, 0, Math.floor(types.length / WORD));
  while (i < types.length) {
    if (i % WORD === 0 && words[i / WORD] === 0) i += WORD;
    else if (isUsed(types[i] as number)) return i;
    else i++;
  }
  return -1;
}

/**
 * The Physical Address Metadata Table: for every page of the TDMRs' initialised blocks, its type, owner and the epoch it was blocked at. A page belongs to the level
 * of its own size: where a block's 2 MiB entry is a leaf, the 4 KiB entries below are NDA.
 * Source: TDX module architecture specification, "Physical Memory Management".
 */
export class Pamt {
  readonly #blocks = new Map<number, Block>();

  /** Starts the entries of the 1 GiB from `base`; all pages are NDA but those in `reserved` ranges. */
  initBlock(base: number, reserved: readonly PhysicalRange[]): void {
    const block = new Block(base);
    const index = (hpa: number) => Math.min(Math.max((hpa - base) / PAGE_BYTES[PageSize.Size4K], 0), FRAMES * FRAMES);
    for (const area of reserved)
      block.levels[PageSize.Size4K].types.fill(PageType.Rsvd, index(area.base), index(area.base + area.size));
    this.#blocks.set(base / BLOCK, block);
  }

  /** The entries of the 1 GiB that `hpa` lies in, or undefined where there is no initialised TDMR. */
  block(hpa: number): Block | undefined {
    return this.#blocks.get(Math.floor(hpa / BLOCK));
  }

  /** The entry of the page of `size` that contains `hpa`, or undefined where there is no initialised TDMR. */
  entry(hpa: number, size: PageSize): PamtEntry | undefined {
    return this.block(hpa)?.entry(hpa, size);
  }

  /** The entries from the 1 GiB one down to that of the leaf that contains `hpa`, at most down to `size`. */
  path(hpa: number, size: PageSize = PageSize.Size4K): readonly PamtEntry[] {
    const block = this.block(hpa);
    if (block === undefined) return [];
    const path: PamtEntry[] = [];
    for (let level = PageSize.Size1G; level >= size; level--) {
      const entry = block.entry(hpa, level);
      path.push(entry);
      if (entry.type === PageType.Reg) break;
    }
    return path;
  }

  /** What the frame at `hpa` is used for, by whatever size of page; {@link PageType.Nda} where there is no PAMT. */
  typeOf(hpa: number): PageType {
    const block = this.block(hpa);
    if (block === undefined) return PageType.Nda;
    if (block.levels[PageSize.Size1G].types[0] === PageType.Reg) return PageType.Reg;
    const at = hpa - block.base;
    if (block.levels[PageSize.Size2M].types[Math.floor(at / PAGE_BYTES[PageSize.Size2M])] === PageType.Reg)
      return PageType.Reg;
    return block.levels[PageSize.Size4K].types[Math.floor(at / PAGE_BYTES[PageSize.Size4K])] as PageType;
  }

  /** Whether all 4 KiB pages of the 2 MiB at `hpa` are NDA. */
  isRangeFree(hpa: number): boolean {
    const block = this.block(hpa);
    if (block === undefined) return false;
    const first = Math.floor((hpa - block.base) / PAGE_BYTES[PageSize.Size2M]) * FRAMES;
    return block.levels[PageSize.Size4K].types.subarray(first, first + FRAMES).every((type) => type === PageType.Nda);
  }

  /** Makes 512 children one page of `size`, which takes over the owner. */
  promote(hpa: number, size: PageSize.Size2M | PageSize.Size1G): void {
    const { parent, children, first } = this.#family(hpa, size);
    parent.type = children.types[first] as PageType;
    parent.owner = children.owners[first] as number;
    children.types.fill(PageType.Nda, first, first + FRAMES);
  }

  /** Makes a page of `size` 512 smaller ones of the same owner. */
  demote(hpa: number, size: PageSize.Size2M | PageSize.Size1G): void {
    const { parent, children, first } = this.#family(hpa, size);
    children.types.fill(parent.type, first, first + FRAMES);
    children.owners.fill(parent.owner, first, first + FRAMES);
    children.epochs.fill(0, first, first + FRAMES);
    parent.type = PageType.Nda;
  }

  /** Calls back for every leaf that is neither NDA nor reserved. */
  forEachUsed(visit: (hpa: number, size: PageSize, type: PageType, owner: number) => void): void {
    for (const { base, levels } of this.#blocks.values())
      for (const [size, { types, owners }] of levels.entries())
        for (let i = nextUsed(types, 0); i >= 0; i = nextUsed(types, i + 1))
          visit(base + i * PAGE_BYTES[size as PageSize], size, types[i] as PageType, owners[i] as number);
  }

  #family(hpa: number, size: PageSize.Size2M | PageSize.Size1G) {
    const block = this.block(hpa);
    if (block === undefined) throw new RangeError(`no PAMT covers the page at 0x${hpa.toString(16)}`);
    const parent = block.entry(hpa, size);
    return { parent, children: block.levels[(size - 1) as PageSize], first: parent.index * FRAMES };
  }
}
