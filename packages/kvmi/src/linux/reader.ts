import type { KvmiClient } from "../client/client.js";
import { PAGE } from "../codec/wire.js";
import { Errno, KvmiError } from "../errno.js";

const LOW_12 = 0xfffn;
const ADDRESS = 0x000f_ffff_ffff_f000n;
const PRESENT = 1n;
const LARGE = 0x80n;

/** An address that the guest has not mapped, or where no memory is. */
export class UnmappedError extends Error {
  override readonly name = "UnmappedError";
  constructor(readonly address: bigint) {
    super(`nothing is mapped at 0x${address.toString(16)}`);
  }
}

/**
 * Guest memory by linear address, through a tool's connection. Translations are remembered: use one reader for as long as the guest
 * stands still, or for memory that never moves.
 */
export class GuestReader {
  readonly #client: KvmiClient;
  readonly #vcpu: number;
  readonly #pages = new Map<bigint, Promise<bigint | null>>();
  readonly #tables = new Map<bigint, Promise<DataView | null>>();

  constructor(client: KvmiClient, vcpu = 0) {
    this.#client = client;
    this.#vcpu = vcpu;
  }

  /** Guest-physical address by the page tables of the vCPU; null if it is not mapped. */
  async translate(gva: bigint): Promise<bigint | null> {
    const page = gva & ~LOW_12;
    let found = this.#pages.get(page);
    if (found === undefined) {
      found = this.#client.translate(this.#vcpu, page);
      this.#pages.set(page, found);
    }
    const gpa = await found;
    return gpa === null ? null : gpa | (gva & LOW_12);
  }

  /** @throws {UnmappedError} */
  async read(gva: bigint, size: number): Promise<Uint8Array> {
    return this.#gather(gva, size, (at) => this.translate(at));
  }

  /** As {@link read}, in the address space whose top page table is at guest-physical `root`. */
  async readIn(root: bigint, gva: bigint, size: number): Promise<Uint8Array> {
    return this.#gather(gva, size, (at) => this.#walk(root, at));
  }

  async u32(gva: bigint): Promise<number> {
    return view(await this.read(gva, 4)).getUint32(0, true);
  }

  async u64(gva: bigint): Promise<bigint> {
    return view(await this.read(gva, 8)).getBigUint64(0, true);
  }

  /** `size` bytes of memory that is contiguous, as many commands at once as there are pages. */
  async readPhysical(gpa: bigint, size: number): Promise<Uint8Array> {
    const out = new Uint8Array(size);
    const parts: Promise<void>[] = [];
    for (let done = 0; done < size; ) {
      const at = gpa + BigInt(done);
      const n = Math.min(size - done, PAGE - Number(at & LOW_12));
      const place = done;
      parts.push(this.#client.readPhysical(at, n).then((bytes) => out.set(bytes, place)));
      done += n;
    }
    await Promise.all(parts);
    return out;
  }

  async #gather(gva: bigint, size: number, translate: (gva: bigint) => Promise<bigint | null>): Promise<Uint8Array> {
    const out = new Uint8Array(size);
    const parts: Promise<void>[] = [];
    for (let done = 0; done < size; ) {
      const at = gva + BigInt(done);
      const n = Math.min(size - done, PAGE - Number(at & LOW_12));
      const place = done;
      parts.push(
        translate(at).then(async (gpa) => {
          if (gpa === null) throw new UnmappedError(at);
          out.set(await this.#client.readPhysical(gpa, n), place);
        }),
      );
      done += n;
    }
    await Promise.all(parts);
    return out;
  }

  /** The walk of 4-level paging, done by hand: address spaces that no vCPU uses at the moment. */
  async #walk(root: bigint, gva: bigint): Promise<bigint | null> {
    let table = root & ADDRESS;
    for (let shift = 39n; shift >= 12n; shift -= 9n) {
      const entries = await this.#table(table);
      if (entries === null) return null;
      const entry = entries.getBigUint64(8 * Number((gva >> shift) & 511n), true);
      if ((entry & PRESENT) === 0n) return null;
      const offset = (1n << shift) - 1n;
      if (shift === 12n || (shift < 39n && (entry & LARGE) !== 0n)) return (entry & ADDRESS & ~offset) | (gva & offset);
      table = entry & ADDRESS;
    }
    return null;
  }

  #table(gpa: bigint): Promise<DataView | null> {
    let found = this.#tables.get(gpa);
    if (found === undefined) {
      found = this.#client.readPhysical(gpa, PAGE).then(view, (error: unknown) => {
        if (error instanceof KvmiError && error.errno === Errno.ENOENT) return null;
        throw error;
      });
      this.#tables.set(gpa, found);
    }
    return found;
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
