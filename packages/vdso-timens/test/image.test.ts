import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";
import { VdsoError, type VdsoOptions, type VvarAbiName, vdsoImage } from "@vm/vdso-timens";
import { describe, expect, it } from "vitest";
import { elfHash, gnuHash } from "../src/image/symbols.js";
import { has } from "./native/programs.js";

const ABIS: readonly VvarAbiName[] = ["linux-5.6", "linux-6.18"];
const NAMES = ["clock_gettime", "gettimeofday", "time", "clock_getres", "getcpu"];

/** What a loader sees of an image, by its program headers and the dynamic section alone (gABI). */
class Loaded {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly tags = new Map<number, number>();

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    const dynamic = this.segments.find(({ type }) => type === 2);
    for (let at = dynamic?.at ?? 0; this.u64(at) !== 0; at += 16) this.tags.set(this.u64(at), this.u64(at + 8));
  }

  u32 = (at: number): number => this.#view.getUint32(at, true);
  u64 = (at: number): number => Number(this.#view.getBigUint64(at, true));

  get segments(): { type: number; flags: number; at: number; size: number }[] {
    return Array.from({ length: this.#view.getUint16(56, true) }, (_, k) => {
      const at = this.u64(32) + 56 * k;
      return { type: this.u32(at), flags: this.u32(at + 4), at: this.u64(at + 16), size: this.u64(at + 40) };
    });
  }

  tag(number: number): number {
    const value = this.tags.get(number);
    if (value === undefined) throw new Error(`no dynamic tag ${number}`);
    return value;
  }

  string(offset: number): string {
    const at = this.tag(5) + offset;
    return Buffer.from(this.#bytes.subarray(at, this.#bytes.indexOf(0, at))).toString("latin1");
  }

  /** Symbol `k`. */
  symbol(k: number): { name: string; info: number; section: number; value: number; version: number } {
    const at = this.tag(6) + 24 * k;
    const version = this.#view.getUint16(this.tag(0x6ffffff0) + 2 * k, true);
    const [info, section] = [this.#view.getUint8(at + 4), this.#view.getUint16(at + 6, true)];
    return { name: this.string(this.u32(at)), info, section, value: this.u64(at + 8), version };
  }

  /** Value of a symbol by `DT_HASH`; null if it is not there. */
  byHash(name: string): number | null {
    const table = this.tag(4);
    const buckets = this.u32(table);
    const chain = table + 8 + 4 * buckets;
    for (let k = this.u32(table + 8 + 4 * (elfHash(name) % buckets)); k !== 0; k = this.u32(chain + 4 * k))
      if (this.symbol(k).name === name) return this.symbol(k).value;
    return null;
  }

  /** The same by `DT_GNU_HASH`. */
  byGnuHash(name: string): number | null {
    const table = this.tag(0x6ffffef5);
    const [buckets, first, words, shift] = [0, 4, 8, 12].map((at) => this.u32(table + at)) as [
      number,
      number,
      number,
      number,
    ];
    const hash = gnuHash(name);
    const word = this.#view.getBigUint64(table + 16 + 8 * (Math.floor(hash / 64) % words), true);
    for (const bit of [hash % 64, (hash >>> shift) % 64]) if (!((word >> BigInt(bit)) & 1n)) return null;
    const bucket = table + 16 + 8 * words;
    let k = this.u32(bucket + 4 * (hash % buckets));
    if (k === 0) return null;
    for (; ; k++) {
      const entry = this.u32(bucket + 4 * buckets + 4 * (k - first));
      if ((entry | 1) >>> 0 === (hash | 1) >>> 0 && this.symbol(k).name === name) return this.symbol(k).value;
      if (entry & 1) return null;
    }
  }
}

it("the names hash as the Go runtime and the kernel's tests expect", () => {
  expect(elfHash("LINUX_2.6")).toBe(0x3ae75f6);
  expect(elfHash("__vdso_clock_gettime")).toBe(0xd35ec75);
  expect(gnuHash("__vdso_clock_gettime")).toBe(0x6e43a318);
  expect(elfHash("__vdso_gettimeofday")).toBe(0x315ca59);
  expect(gnuHash("__vdso_gettimeofday")).toBe(0xb01bca00);
});

describe.each(ABIS)("the image (%s)", (abi) => {
  const { bytes, symbols } = vdsoImage({ abi });
  const loaded = new Loaded(bytes);

  it("is one page: a segment that is read and executed, and what is found in it", () => {
    expect(bytes.length).toBe(4096);
    const [load, ...others] = loaded.segments;
    expect(load).toMatchObject({ type: 1, flags: 5, at: 0 });
    expect(others.map(({ type, flags }) => [type, flags])).toEqual([
      [2, 4],
      [4, 4],
      [0x6474e550, 4],
    ]);
    for (const { at, size } of others) expect(at + size).toBeLessThanOrEqual(load?.size ?? 0);
  });

  it("has nothing to be relocated", () => {
    // DT_RELA, DT_REL, DT_JMPREL, DT_TEXTREL, DT_NEEDED
    for (const tag of [7, 17, 23, 22, 1]) expect(loaded.tags.has(tag)).toBe(false);
    expect(loaded.string(loaded.tag(14))).toBe("linux-vdso.so.1");
  });

  it.each(NAMES.flatMap((name) => [name, `__vdso_${name}`]))(
    "exports %s as a function of LINUX_2.6, by both hash tables",
    (name) => {
      const value = symbols.get(name);
      expect(loaded.byHash(name)).toBe(value);
      expect(loaded.byGnuHash(name)).toBe(value);
      const k = Array.from({ length: 11 }, (_, n) => loaded.symbol(n)).find((symbol) => symbol.name === name);
      expect(k).toMatchObject({ info: ((name.startsWith("__") ? 1 : 2) << 4) | 2, value, version: 2 });
      expect(k?.section).not.toBe(0);
    },
  );

  it("does not have what it does not have", () => {
    for (const name of ["__vdso_sgx_enter_enclave", "clock_settime", "", "__vdso_clock_gettim"]) {
      expect(loaded.byHash(name)).toBe(name === "" ? loaded.byHash("") : null);
      expect(loaded.byGnuHash(name)).toBeNull();
    }
  });

  it("defines its version behind that of itself", () => {
    const at = loaded.tag(0x6ffffffc);
    const second = at + loaded.u32(at + 16);
    expect([loaded.u32(at + 8), loaded.u32(second + 8)]).toEqual([elfHash("linux-vdso.so.1"), 0x3ae75f6]);
    expect(loaded.string(loaded.u32(second + loaded.u32(second + 12)))).toBe("LINUX_2.6");
    expect(loaded.u32(second + 16)).toBe(0);
  });

  it("is the same every time", () => {
    expect(vdsoImage({ abi }).bytes).toEqual(bytes);
  });

  it.skipIf(!has("readelf"))("reads well in binutils", () => {
    const file = join(temporaryFolder(), "vdso.so");
    writeFileSync(file, bytes);
    const text = execFileSync("readelf", ["-a", "-W", "--debug-dump=frames", file], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const name of NAMES) expect(text).toContain(`__vdso_${name}@@LINUX_2.6`);
    expect(text.match(/ FDE cie=/g)).toHaveLength(NAMES.length);
    expect(text).not.toMatch(/warning|error|corrupt(?!> +NULL)/i);
  });
});

it.each<[VdsoOptions, string]>([
  [{ abi: "linux-4.0" as VvarAbiName }, "abi linux-4.0: expected linux-5.6 or linux-6.18"],
  [{ tickNs: 0 }, "tickNs 0: expected an integer from 1 to 999999999"],
  [{ tickNs: 1.5 }, "tickNs 1.5: expected an integer from 1 to 999999999"],
])("%o is refused, with what would do", (options, message) => {
  expect(() => vdsoImage(options)).toThrow(new VdsoError("option", message));
});
