import { TryLock } from "./try-lock.js";

/** What a private host key id is used for. */
export enum KeyState {
  Free = 0,
  Assigned = 1,
  /** All vCPUs are flushed; caches are to be written back on every package. */
  Flushed = 2,
  /** The TDX module's own. */
  Reserved = 3,
}

/** The entry of one private HKID. */
export interface KeyEntry {
  state: KeyState;
  /** By package number: the caches that may still hold lines of this key. */
  toWriteBack: number;
}

/** The Key Ownership Table: which private HKIDs are in use. Source: TDX module architecture specification, "Key Ownership Table". */
export class Kot {
  readonly lock = new TryLock();
  readonly #entries: KeyEntry[];

  constructor(readonly hkids: { readonly first: number; readonly count: number }) {
    this.#entries = Array.from({ length: hkids.count }, () => ({ state: KeyState.Free, toWriteBack: 0 }));
  }

  /** Undefined for an HKID that is not private. */
  entry(hkid: number): KeyEntry | undefined {
    return this.#entries[hkid - this.hkids.first];
  }

  /** The entry of the key of a TD, or of the module: there always is one. */
  of({ hkid }: { readonly hkid: number }): KeyEntry {
    return this.#entries[hkid - this.hkids.first] as KeyEntry;
  }

  /** All entries, from the first private HKID on. */
  get entries(): readonly KeyEntry[] {
    return this.#entries;
  }
}
