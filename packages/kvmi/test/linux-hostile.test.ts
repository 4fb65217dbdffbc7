import { describe, expect, it } from "vitest";
import {
  Btf,
  BtfError,
  decodeText,
  findBtf,
  findKallsyms,
  finish,
  GuestOsError,
  GuestReader,
  type KvmiClient,
  type LinuxKernel,
  processes,
  UnmappedError,
} from "../src/index.js";
import { random } from "./fuzz.js";
import { ascii, image } from "./linux-image.js";
import { bytes, le } from "./raw-tool.js";

const STRUCT = 4;
const TYPEDEF = 8;
const CONST = 10;
const STRINGS = ascii("\0task\0pid\0");
const [TASK, PID] = [1, 6];

const header = (types: number, strings: number, at = types): Uint8Array =>
  bytes([0x9f, 0xeb, 1, 0], ...[24, 0, types, at, strings].map((value) => le(4, value)));
const type = (name: number, kind: number, n: number, last: number): Uint8Array =>
  bytes(le(4, name), le(4, ((kind << 24) | n) >>> 0), le(4, last));
const member = (name: number, typeId: number): Uint8Array => bytes(le(4, name), le(4, typeId), le(4, 0));
function btf(...types: readonly Uint8Array[]): Btf {
  const all = bytes(...types);
  return new Btf(bytes(header(all.length, STRINGS.length), all, STRINGS));
}

describe("type information that makes no sense is a BtfError", () => {
  const members: readonly (readonly [string, () => Btf])[] = [
    ["a typedef of itself", () => btf(type(TASK, STRUCT, 1, 8), member(0, 2), type(PID, TYPEDEF, 0, 2))],
    [
      "typedefs and qualifiers in a circle",
      () => btf(type(TASK, STRUCT, 1, 8), member(0, 2), type(PID, TYPEDEF, 0, 3), type(0, CONST, 0, 2)),
    ],
    ["a structure inside itself", () => btf(type(TASK, STRUCT, 1, 8), member(0, 1))],
    [
      "structures inside each other",
      () => btf(type(TASK, STRUCT, 1, 8), member(0, 2), type(0, STRUCT, 1, 8), member(0, 1)),
    ],
    ["a member of a type that is not there", () => btf(type(TASK, STRUCT, 1, 8), member(0, 3))],
    [
      "structures a hundred deep",
      () =>
        btf(
          type(TASK, STRUCT, 1, 8),
          member(0, 2),
          ...Array.from({ length: 100 }, (_, k) => bytes(type(0, STRUCT, 1, 8), member(0, k + 3))),
        ),
    ],
  ];
  it.each(members)("%s", (_, make) => {
    const types = make();
    expect(() => types.member("task", "pid")).toThrow(BtfError);
  });

  const blobs: readonly (readonly [string, Uint8Array])[] = [
    ["no header", new Uint8Array(10)],
    ["a kind that is not known", bytes(header(12, STRINGS.length), type(0, 31, 0, 0), STRINGS)],
    ["more members than there are bytes", bytes(header(12, STRINGS.length), type(TASK, STRUCT, 0xffff, 0), STRINGS)],
    ["a type that ends in its middle", bytes(header(8, STRINGS.length), new Uint8Array(8), STRINGS)],
    ["types behind the end", bytes(header(0xfffffff0, STRINGS.length), type(0, CONST, 0, 0), STRINGS)],
    ["strings behind the end", bytes(header(12, 0xffffffff), type(0, CONST, 0, 0), STRINGS)],
  ];
  it.each(blobs)("%s", (_, blob) => {
    expect(() => new Btf(blob)).toThrow(BtfError);
  });
});

it("a name without end is no name", () => {
  const types = bytes(type(TASK, STRUCT, 0, 8));
  expect(new Btf(bytes(header(12, 4), types, ascii("\0tas"))).sizeOf("tas")).toBeNull();
  expect(new Btf(bytes(header(12, 5), types, ascii("\0tas\0"))).sizeOf("tas")).toBe(8);
  expect(new Btf(bytes(header(12, 5), type(0xffffffff, STRUCT, 0, 8), ascii("\0tas\0"))).sizeOf("tas")).toBeNull();
});

it("a structure that is met a thousand times over is searched once", () => {
  const wide = (next: number): Uint8Array =>
    bytes(type(0, STRUCT, 1000, 8), ...Array.from({ length: 1000 }, () => member(0, next)));
  const levels = Array.from({ length: 30 }, (_, k) => wide(k + 3));
  const types = btf(type(TASK, STRUCT, 1, 8), member(0, 2), ...levels, type(0, STRUCT, 1, 8), member(TASK, 0));
  expect(types.member("task", "pid")).toBeNull();
});

it("type information of a whole kernel is read in pieces of some thousand types", () => {
  const one = type(0, CONST, 0, 0);
  const count = 400_000;
  const types = new Uint8Array(one.length * count);
  for (let k = 0; k < count; k++) types.set(one, k * one.length);
  const work = Btf.read(bytes(header(types.length, STRINGS.length), types, STRINGS));
  let pieces = 0;
  let step = work.next();
  for (; step.done !== true; step = work.next()) pieces++;
  expect(step.value.size).toBe(count);
  expect(pieces).toBeGreaterThan(count / 10_000);
});

it("an image full of beginnings is not searched for ever", () => {
  const magic = Uint8Array.of(0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const blobs = new Uint8Array(magic.length * 100_000);
  for (let at = 0; at < blobs.length; at += magic.length) blobs.set(magic, at);
  expect(() => findBtf(blobs)).toThrow(GuestOsError);
  const digits = ascii("0\x001\x002\x003\x004\x005\x006\x007\x008\x009\0");
  const tables = new Uint8Array(1 << 23).fill(0x41);
  for (let at = 0; at + digits.length < tables.length; at += digits.length) tables.set(digits, at);
  expect(() => findKallsyms(tables)).toThrow(expect.objectContaining({ code: "implausible" }));
});

it("a symbol table with any of its bytes changed is read, is none, or is a GuestOsError", () => {
  const next = random(11);
  const good = image("since 6.4", 2000, true);
  const outcomes = new Set<string>();
  for (let k = 0; k < 300; k++) {
    const bad = good.slice();
    for (let n = 1 + next(4); n > 0; n--) {
      const at = 4096 + next(bad.length - 8192);
      if (next(2) === 0) bad[at] = next(256);
      else new DataView(bad.buffer).setUint32(at & ~3, [0, 0xffffffff, 0x7fffffff, 1 << 20][next(4)] as number, true);
    }
    try {
      outcomes.add(findKallsyms(bad) === null ? "none" : "read");
    } catch (error) {
      expect(error).toBeInstanceOf(GuestOsError);
      outcomes.add("error");
    }
  }
  expect(outcomes).toContain("read");
  expect(outcomes).toContain("none");
});

describe("a task list that makes no sense", () => {
  const HEAD = 0x1000n;
  const OFFSETS: Readonly<Record<string, number>> = {
    tasks: 0,
    tgid: 8,
    real_parent: 16,
    comm: 24,
    __state: 40,
    exit_state: 44,
    flags: 48,
    cred: 56,
    mm: 64,
    worker_private: 72,
    euid: 0,
  };
  const kernel = (offsets = OFFSETS): LinuxKernel =>
    ({ symbol: () => HEAD, offset: (_: string, path: string) => offsets[path] ?? 0 }) as unknown as LinuxKernel;

  /** A guest whose task at `address` is followed by the one at `next(address)`. */
  function guest(next: (address: bigint) => bigint, comm = new Uint8Array(16).fill(0x41)): GuestReader {
    const client = {
      translate: (_: number, gva: bigint) => Promise.resolve(gva < 2n ** 40n ? gva : null),
      readPhysical: (gpa: bigint, size: number) => {
        const task = gpa & ~0xfffn;
        const page = new DataView(new ArrayBuffer(4096));
        page.setBigUint64(OFFSETS.tasks ?? 0, next(task), true);
        page.setUint32(OFFSETS.tgid ?? 0, Number(task >> 12n), true);
        page.setBigUint64(OFFSETS.real_parent ?? 0, HEAD, true);
        page.setBigUint64(OFFSETS.cred ?? 0, HEAD, true);
        new Uint8Array(page.buffer).set(comm, OFFSETS.comm);
        const at = Number(gpa & 0xfffn);
        return Promise.resolve(new Uint8Array(page.buffer, at, size));
      },
    };
    return new GuestReader(client as unknown as KvmiClient);
  }

  it("leads to its own head: nobody is there", async () => {
    expect(
      await processes(
        kernel(),
        guest(() => HEAD),
      ),
    ).toEqual([]);
  });

  it("goes in a circle that leaves the head out: each is there once", async () => {
    const list = await processes(
      kernel(),
      guest((task) => (task === 0x3000n ? 0x2000n : task + 0x1000n)),
    );
    expect(list.map(({ pid, name }) => [pid, name])).toEqual([
      [2, "A".repeat(16)],
      [3, "A".repeat(16)],
    ]);
  });

  it("leads where nothing is", async () => {
    await expect(
      processes(
        kernel(),
        guest(() => 2n ** 64n - 8n),
      ),
    ).rejects.toBeInstanceOf(UnmappedError);
  });

  it("has no end", async () => {
    await expect(
      processes(
        kernel(),
        guest((task) => task + 0x1000n),
      ),
    ).rejects.toThrow("more than 65536 entries");
  });

  it("has entries of a size that none has", async () => {
    await expect(
      processes(
        kernel({ ...OFFSETS, comm: 1 << 19 }),
        guest(() => HEAD),
      ),
    ).rejects.toBeInstanceOf(GuestOsError);
  });
});

it("text of any bytes: UTF-8 is read as such, and what is none is kept", () => {
  expect(decodeText(ascii("a\u00e9\u20ac\u{1f600}\ufeff"))).toBe("a\u00e9\u20ac\u{1f600}\ufeff");
  // A lone continuation, an overlong form, half of a surrogate pair, beyond Unicode, cut short.
  expect(decodeText(Uint8Array.of(0x41, 0x9b, 0x42))).toBe("A\udc9bB");
  expect(decodeText(Uint8Array.of(0xc0, 0x80))).toBe("\udcc0\udc80");
  expect(decodeText(Uint8Array.of(0xed, 0xa0, 0x80))).toBe("\udced\udca0\udc80");
  expect(decodeText(Uint8Array.of(0xf4, 0x90, 0x80, 0x80))).toBe("\udcf4\udc90\udc80\udc80");
  expect(decodeText(Uint8Array.of(0xe2, 0x82))).toBe("\udce2\udc82");
});

it("work that is done at once gives what work in pieces gives", () => {
  const work = function* (): Generator<undefined, number, undefined> {
    yield;
    return 7;
  };
  expect(finish(work())).toBe(7);
});
