import { SeptState } from "./sept-state.js";
import { Status } from "./status.js";
import type { Lock, LockMode } from "./try-lock.js";

/** Bits of the low word of an entry. */
const RWX = 0x7;
const LOCK = 1 << 11;
const MEMORY_TYPE_WB = 6 << 3;
const LEAF = 1 << 7;
/** Bits of the high word. */
const HOST_PRIORITY = 1 << 20;
const SUPPRESS_VE = 2 ** 31;
const ENTRIES = 512;
const INDEX_BITS = 9;
/** Levels whose indexes fit into an integer together: a frame number has 40 bits. */
const LOW_LEVELS = 3;
const LOW_FRAMES = ENTRIES ** LOW_LEVELS;
const HIGH_FRAME = 0xf_ffff;

const lowOf = (state: number) => ((state & 1) << 9) | ((state >> 5) << 6);
const highOf = (state: number) => ((state >> 1) & 0xf) << 21;
const STATE_LOW = lowOf(0x7f);
const STATE_HIGH = highOf(0x7f);

/** A page of a secure EPT: 512 entries of two words each, and the tables that non-leaf entries lead to. */
export class SeptTable {
  readonly words = new Uint32Array(2 * ENTRIES);
  readonly children: (SeptTable | undefined)[] = new Array(ENTRIES);

  /** @param hpa the frame that the TD gave for it */
  constructor(readonly hpa: number) {
    for (let i = 0; i < ENTRIES; i++) {
      this.words[2 * i] = lowOf(SeptState.Free);
      this.words[2 * i + 1] = (highOf(SeptState.Free) | SUPPRESS_VE) >>> 0;
    }
  }

  /** Whether all entries are free. */
  get isFree(): boolean {
    for (let index = 0; index < ENTRIES; index++) if (this.stateAt(index) !== SeptState.Free) return false;
    return true;
  }

  stateAt(index: number): SeptState {
    const low = this.words[2 * index] as number;
    const high = this.words[2 * index + 1] as number;
    return ((low >>> 9) & 1) | (((high >>> 21) & 0xf) << 1) | (((low >>> 6) & 3) << 5);
  }
}

/** One entry of a secure EPT, where it is. */
export class SeptEntry implements Lock {
  constructor(
    readonly table: SeptTable,
    readonly index: number,
    /** Of the page or table that the entry is for: 0 is 4 KiB. */
    readonly level: number,
  ) {}

  get state(): SeptState {
    return this.table.stateAt(this.index);
  }

  /** Whether it leads to a page, present or not. */
  get isLeaf(): boolean {
    return (this.#low & LEAF) !== 0;
  }

  /** Rights R 1, W 2, X 4; all zero is not present. */
  get rights(): number {
    return this.#low & RWX;
  }

  /** Physical address of the page or table. */
  get hpa(): number {
    return ((this.#low >>> 12) + (this.#high & HIGH_FRAME) * 2 ** 20) * 4096;
  }

  /** The table of a mapped or blocked non-leaf entry. */
  get child(): SeptTable | undefined {
    return this.table.children[this.index];
  }

  /** All 64 bits. */
  get raw(): bigint {
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  get isLocked(): boolean {
    return (this.#low & LOCK) !== 0;
  }

  /** Whether a host failed to lock the entry since a host had it. */
  get hostPriority(): boolean {
    return (this.#high & HOST_PRIORITY) !== 0;
  }

  /** Takes the lock of the entry; it is always exclusive. */
  acquire(_mode: LockMode = "exclusive", isGuest = false): bigint {
    if (this.isLocked) {
      if (!isGuest) this.#high |= HOST_PRIORITY;
      return Status.OPERAND_BUSY;
    }
    if (isGuest && this.hostPriority) return Status.OPERAND_BUSY_HOST_PRIORITY;
    this.#low |= LOCK;
    if (!isGuest) this.#high &= ~HOST_PRIORITY;
    return Status.SUCCESS;
  }

  release(_mode: LockMode = "exclusive"): void {
    this.#low &= ~LOCK;
  }

  /** Makes it lead to the page at `hpa`, write-back, #VE suppressed; `rights` as the state has them. Keeps the lock. */
  setLeaf(state: SeptState, hpa: number, rights: number): void {
    this.#set(state, hpa, rights | MEMORY_TYPE_WB);
    this.table.children[this.index] = undefined;
  }

  /** Makes it lead to `table`. Keeps the lock. */
  setTable(table: SeptTable): void {
    this.#set(SeptState.NlMapped, table.hpa, RWX);
    this.table.children[this.index] = table;
  }

  /** Makes it free, or removed. Keeps the lock. */
  clear(state: SeptState.Free | SeptState.Removed = SeptState.Free): void {
    this.#set(state, 0, 0);
    this.table.children[this.index] = undefined;
  }

  /** Changes the state and the rights, and leaves the address alone. Keeps the lock. */
  setState(state: SeptState, rights: number): void {
    this.#low = (this.#low & ~(STATE_LOW | RWX)) | lowOf(state) | rights;
    this.#high = (this.#high & ~STATE_HIGH) | highOf(state) | SUPPRESS_VE;
  }

  #set(state: SeptState, hpa: number, low: number): void {
    const frame = hpa / 4096;
    const lock = this.#low & LOCK;
    const priority = this.#high & HOST_PRIORITY;
    this.#low = ((frame % 2 ** 20) << 12) | lowOf(state) | low | lock;
    this.#high = Math.floor(frame / 2 ** 20) | highOf(state) | priority | SUPPRESS_VE;
  }

  get #low(): number {
    return this.table.words[2 * this.index] as number;
  }

  set #low(low: number) {
    this.table.words[2 * this.index] = low >>> 0;
  }

  get #high(): number {
    return this.table.words[2 * this.index + 1] as number;
  }

  set #high(high: number) {
    this.table.words[2 * this.index + 1] = high >>> 0;
  }
}

/** The index into a table of `level`, of a frame number's bits from 27 on and those below. */
const indexAt = (high: number, low27: number, level: number): number =>
  (level < LOW_LEVELS ? low27 >>> (INDEX_BITS * level) : high >>> (INDEX_BITS * (level - LOW_LEVELS))) & (ENTRIES - 1);

/** The processor found nothing that allows the access. */
export const SEPT_VIOLATION = 0;
/** The page is there and waits for TDG.MEM.PAGE.ACCEPT. */
export const SEPT_PENDING = -1;

/**
 * The secure EPT of a TD: its own tree of tables, which only SEAMCALLs and the guest's PAGE.ACCEPT change, and the processor walks.
 * Levels are those of operands: 0 maps 4 KiB; a table of level n has entries of level n.
 */
export class SecureEpt {
  /** After {@link walk} found a frame: what may be done with it, R 1, W 2, X 4. */
  rights = 0;

  /** @param levels of tables: 4 or 5 */
  constructor(
    readonly root: SeptTable,
    readonly levels: 4 | 5,
  ) {}

  /**
   * The processor's walk for an access to a private address.
   * @param gfn guest frame number, without the shared bit
   * @param want R 1, W 2, X 4: one of them
   * @returns the frame number of the page, above 0, or {@link SEPT_VIOLATION} or {@link SEPT_PENDING}
   */
  walk(gfn: number, want: number): number {
    let table = this.root;
    const high = Math.floor(gfn / LOW_FRAMES);
    const low27 = gfn % LOW_FRAMES;
    for (let level = this.levels - 1; ; level--) {
      const index = indexAt(high, low27, level);
      const low = table.words[2 * index] as number;
      if ((low & RWX) === 0) {
        const state = table.stateAt(index);
        return state === SeptState.Pending || state === SeptState.PendingExportedDirty ? SEPT_PENDING : SEPT_VIOLATION;
      }
      if ((low & want) === 0) return SEPT_VIOLATION;
      if ((low & LEAF) !== 0) {
        this.rights = low & RWX;
        const frame = (low >>> 12) + ((table.words[2 * index + 1] as number) & HIGH_FRAME) * 2 ** 20;
        return frame + (low27 & (ENTRIES ** level - 1));
      }
      const child = table.children[index];
      if (child === undefined || level === 0) return SEPT_VIOLATION;
      table = child;
    }
  }

  /** The entry for `gpa` at `level`, or the one above it where the way down ends: at a leaf, or at an entry that is not present. */
  find(gpa: number, level: number): SeptEntry {
    let table = this.root;
    const gfn = Math.floor(gpa / 4096);
    const high = Math.floor(gfn / LOW_FRAMES);
    const low27 = gfn % LOW_FRAMES;
    for (let at = this.levels - 1; ; at--) {
      const index = indexAt(high, low27, at);
      const low = table.words[2 * index] as number;
      const child = table.children[index];
      if (at === level || (low & RWX) === 0 || (low & LEAF) !== 0 || child === undefined)
        return new SeptEntry(table, index, at);
      table = child;
    }
  }

  /** Calls back for every entry that is not free, parents first. */
  forEach(visit: (gpa: number, entry: SeptEntry) => void): void {
    const each = (table: SeptTable, level: number, base: number) => {
      for (let index = 0; index < ENTRIES; index++) {
        const entry = new SeptEntry(table, index, level);
        if (entry.state === SeptState.Free) continue;
        const gpa = base + index * 4096 * 512 ** level;
        visit(gpa, entry);
        const child = entry.child;
        if (child !== undefined && level > 0) each(child, level - 1, gpa);
      }
    };
    each(this.root, this.levels - 1, 0);
  }
}

/** What a processor may do with a mapped page. */
export const RIGHTS_ALL = RWX;
