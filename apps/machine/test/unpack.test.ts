import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decompress } from "../src/boot/decompress.js";
import { KernelError, UnknownPackingError } from "../src/boot/error.js";
import { Pace } from "../src/pace.js";

const pace = new Pace();

/** The packers that Linux's build calls, as it calls them. */
const PACKERS = {
  gzip: ["gzip", "-n", "-9", "-c"],
  lz4: ["lz4", "-l", "-9", "-c", "-q"],
  xz: ["xz", "--check=crc32", "--x86", "--lzma2=dict=1MiB", "-c"],
  zstd: ["zstd", "-22", "--ultra", "-c", "-q"],
  "zstd of other levels": ["zstd", "-1", "-c", "-q"],
} as const;

/** Texts that pack in different ways: repeats near and far, runs, few and many symbols. */
const text = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.record({ byte: fc.nat(255), length: fc.integer({ min: 1, max: 9000 }) }).map(run),
      fc.record({ words: fc.array(fc.nat(5), { maxLength: 400 }) }).map(({ words }) => Uint8Array.from(words)),
    ),
    { maxLength: 12 },
  )
  .chain((parts) =>
    fc
      .array(fc.nat(Math.max(parts.length - 1, 0)), { maxLength: 30 })
      .map((order) => Buffer.concat(order.flatMap((k) => parts[k] ?? []))),
  );

function run({ byte, length }: { byte: number; length: number }): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

describe.each(Object.entries(PACKERS))("%s", (name, [program, ...args]) => {
  const missing = spawnSync(program, ["--version"]).error !== undefined;
  it.skipIf(missing)(
    `gives back what ${program} packed, and never more than is declared (needs ${program})`,
    async () => {
      await fc.assert(
        fc.asyncProperty(text, async (plain) => {
          const packed = new Uint8Array(spawnSync(program, args, { input: plain, maxBuffer: 2 ** 26 }).stdout);
          expect(Buffer.compare(await decompress(packed, plain.length, pace), plain)).toBe(0);
          if (plain.length === 0) return;
          await expect(decompress(packed, plain.length - 1, pace)).rejects.toThrow(KernelError);
          await expect(decompress(packed, plain.length + 1, pace)).rejects.toThrow(
            `its ${name.split(" ")[0]} payload unpacks to ${plain.length} bytes instead of ${plain.length + 1}`,
          );
        }),
        { numRuns: 40 },
      );
    },
  );
});

/** 64 GiB of zeros, or nearly, in a small file. */
const bombs: Readonly<Record<string, () => Uint8Array>> = {
  gzip: () => {
    const mib = gzipSync(new Uint8Array(2 ** 20));
    return Buffer.concat(new Array<Uint8Array>(4096).fill(mib));
  },
  lz4: () => {
    const block = new Uint8Array(4 + 32901);
    // A literal, and a match of 8 MiB one byte back.
    block.set([0x81, 0x80, 0, 0, 0x1f, 0, 1, 0]);
    block.fill(255, 8);
    return Buffer.concat([Uint8Array.of(2, 0x21, 0x4c, 0x18), ...new Array<Uint8Array>(64).fill(block)]);
  },
  zstd: () => {
    const block = Uint8Array.of(2, 0, 16, 7);
    return Buffer.concat([
      Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0xff),
      ...new Array<Uint8Array>(2 ** 16).fill(block),
    ]);
  },
};

describe("what unpacks without end", () => {
  it.each(Object.entries(bombs))("%s is cut where the declared size ends", async (_, bomb) => {
    const file = bomb();
    const before = process.memoryUsage().rss;
    await expect(decompress(file, 2 ** 20, pace)).rejects.toThrow(/more than the 1048576 bytes|is damaged/);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
  });

  it("ends when its time is over, and says why", async () => {
    const controller = new AbortController();
    const reason = new Error("enough");
    const unpacked = decompress(gzipSync(new Uint8Array(2 ** 26)), 2 ** 26, new Pace(controller.signal));
    controller.abort(reason);
    await expect(unpacked).rejects.toBe(reason);
  });
});

describe("zstd (RFC 8878)", () => {
  const frame = (...bytes: number[]): Uint8Array => Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, ...bytes);
  it("has raw and repeated blocks, frames one after the other, and frames to be skipped", async () => {
    const raw = frame(0x20, 3, 0b11001, 0, 0, 7, 8, 9);
    const repeated = frame(0x00, 0x00, 0b100011, 0, 0, 5);
    const skipped = Uint8Array.of(0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 1, 2);
    expect([...(await decompress(Buffer.concat([raw, skipped, repeated]), 7, pace))]).toEqual([7, 8, 9, 5, 5, 5, 5]);
  });

  it.each([
    ["a reserved block", frame(0x00, 0x00, 0b111, 0, 0)],
    ["a block of more than 128 KiB", frame(0x00, 0x00, 0b011, 0xff, 0xff, 0)],
    ["a reserved bit", frame(0x08, 0x00, 0b001, 0, 0)],
    ["other contents than declared", frame(0x20, 4, 0b11001, 0, 0, 7, 8, 9)],
    ["a compressed block of nothing", frame(0x00, 0x00, 0b101, 0, 0)],
    ["bytes that are no frame", Buffer.concat([frame(0x20, 3, 0b11001, 0, 0, 7, 8, 9), new Uint8Array(12)])],
  ])("refuses %s", async (_, file) => {
    await expect(decompress(file, 4, pace)).rejects.toThrow("zstd payload is damaged");
  });

  it("leaves frames with a dictionary to who has it", async () => {
    await expect(decompress(frame(0x01, 0x00, 1, 0b001, 0, 0), 4, pace)).rejects.toThrow(UnknownPackingError);
  });
});
