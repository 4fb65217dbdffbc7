import { KvmTdxError } from "./errors.js";

/** The private host key ids that TDs can have. The first private one is the TDX module's. Linux: tdx_guest_keyid_pool. */
export class HkidPool {
  readonly #used = new Set<number>();

  /** Ids `[first, first + count)`. */
  constructor(
    readonly first: number,
    readonly count: number,
  ) {}

  /** The lowest free id. @throws KvmTdxError ENOSPC */
  alloc(): number {
    for (let hkid = this.first; hkid < this.first + this.count; hkid++) {
      if (this.#used.has(hkid)) continue;
      this.#used.add(hkid);
      return hkid;
    }
    throw new KvmTdxError("ENOSPC", `all ${this.count} host key ids are in use: destroy a TD first`);
  }

  free(hkid: number): void {
    this.#used.delete(hkid);
  }

  /** Ids that are in use. */
  get used(): number {
    return this.#used.size;
  }
}
