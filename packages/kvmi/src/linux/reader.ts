import type { KvmiClient } from "../client/client.js";
import { PAGE } from "../codec/wire.js";
import { Errno, KvmiError } from "../errno.js";
import { UnmappedError } from "./errors.js";
import { decodeText } from "./text.js";

const LOW_12 = 0xfffn;
const ADDRESS = 0x000f_ffff_ffff_f000n;
const PRESENT = 1n;
const LARGE = 0x80n;
/** Bytes of a string unless told otherwise: PATH_MAX. */
const STRING_MOST = 4096;
/** Commands on their way at once. */
const AT_ONCE = 512;
/** Translations, and page tables, that are remembered; then they are looked up anew. */
const REMEMBERED = 65_536;
const TABLES_REMEMBERED = 4096;

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
      if (this.#pages.size === REMEMBERED) this.#pages.clear();
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

  /**
   * Bytes from `gva` up to a NUL, `most` of them: `whole` if there was one. Reads no page behind the one with the NUL.
   * @throws {UnmappedError}
   */
  async cString(gva: bigint, most: number): Promise<{ readonly bytes: Uint8Array; readonly whole: boolean }> {
    const out = new Uint8Array(most);
    for (let done = 0; done < most; ) {
      const at = gva + BigInt(done);
      const part = await this.read(at, Math.min(most - done, PAGE - Number(at & LOW_12)));
      const nul = part.indexOf(0);
      out.set(nul < 0 ? part : part.subarray(0, nul), done);
      if (nul >= 0) return { bytes: out.subarray(0, done + nul), whole: true };
      done += part.length;
    }
    return { bytes: out, whole: false };
  }

  /** The text at `gva` up to its NUL or `most` bytes, as {@link decodeText} reads it. @throws {UnmappedError} */
  async string(gva: bigint, most = STRING_MOST): Promise<string> {
    return decodeText((await this.cString(gva, most)).bytes);
  }

  /** `size` bytes of memory that is contiguous. @throws {UnmappedError} where no memory is */
  async readPhysical(gpa: bigint, size: number): Promise<Uint8Array> {
    return this.#gather(gpa, size, (at) => Promise.resolve(at));
  }

  /** Page by page, many on their way at once. */
  async #gather(from: bigint, size: number, translate: (at: bigint) => Promise<bigint | null>): Promise<Uint8Array> {
    const out = new Uint8Array(size);
    let parts: Promise<void>[] = [];
    for (let done = 0; done < size; ) {
      const at = from + BigInt(done);
      const n = Math.min(size - done, PAGE - Number(at & LOW_12));
      const place = done;
      parts.push(translate(at).then(async (gpa) => out.set(await this.#page(at, gpa, n), place)));
      done += n;
      if (parts.length < AT_ONCE) continue;
      await Promise.all(parts);
      parts = [];
    }
    await Promise.all(parts);
    return out;
  }

  /** What is within one page. @param at what was asked for */
  async #page(at: bigint, gpa: bigint | null, size: number): Promise<Uint8Array> {
    if (gpa === null) throw new UnmappedError(at);
    try {
      return await this.#client.readPhysical(gpa, size);
    } catch (error) {
      throw error instanceof KvmiError && error.errno === Errno.ENOENT ? new UnmappedError(at) : error;
    }
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
      if (this.#tables.size === TABLES_REMEMBERED) this.#tables.clear();
      this.#tables.set(gpa, found);
    }
    return found;
  }
}

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
