import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { openImage } from "../../src/disk/node/open-image.js";
import { check, hasQemuImg, qemuImg } from "./qemu-img.js";

const dir = mkdtempSync(join(tmpdir(), "vm-qcow2-"));
afterAll(() => rmSync(dir, { recursive: true }));

const KIB = 1024;
const MIB = 1024 * KIB;
const SIZE = 3 * MIB + 512;

/** Cases of each variant: few in every run, other ones each time. */
const RUNS = Number(process.env.VM_QCOW2_RUNS ?? 1);

let files = 0;
const newPath = (extension = "qcow2"): string => join(dir, `image-${files++}.${extension}`);

/** Bytes that compress, with islands that do not and some zeros. */
function content(seed: number, size = SIZE): Buffer {
  const bytes = Buffer.alloc(size);
  let state = seed | 1;
  for (let at = 0; at < size; at += 4096) {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    const kind = (state >>> 16) % 4;
    if (kind === 0) continue;
    for (let k = at; k < Math.min(at + 4096, size); k++) {
      if (kind === 1) state = (Math.imul(state, 1664525) + 1013904223) | 0;
      bytes[k] = kind === 1 ? state >>> 24 : (at >> 12) + (k % (3 * kind));
    }
  }
  return bytes;
}

interface Variant {
  readonly name: string;
  /** Options of `qemu-img create`. */
  readonly options: string;
  /** What is in it before we write: nothing, data by convert, compressed data, or data with an internal snapshot. */
  readonly filled?: "data" | "compressed" | "snapshot" | "zeros";
  readonly backing?: "raw" | "qcow2" | "short raw";
}

const VARIANTS: readonly Variant[] = [
  ...["512", "1k", "4k", "64k", "2M"].flatMap((size): Variant[] => [
    { name: `version 2, clusters of ${size}`, options: `compat=0.10,cluster_size=${size}` },
    { name: `version 3, clusters of ${size}`, options: `compat=1.1,cluster_size=${size}`, filled: "data" },
  ]),
  ...[1, 2, 4, 8, 32, 64].map((bits): Variant => {
    return { name: `refcounts of ${bits} bits`, options: `cluster_size=4k,refcount_bits=${bits}`, filled: "data" };
  }),
  { name: "a refcount table that has to grow", options: "cluster_size=512,refcount_bits=64" },
  { name: "zero clusters", options: "cluster_size=16k", filled: "zeros" },
  { name: "lazy refcounts", options: "lazy_refcounts=on,cluster_size=16k" },
  { name: "preallocated metadata", options: "preallocation=metadata,cluster_size=32k" },
  { name: "preallocated in full", options: "preallocation=full" },
  { name: "zlib clusters", options: "compression_type=zlib", filled: "compressed" },
  { name: "zlib clusters of 4k, version 2", options: "compat=0.10,cluster_size=4k", filled: "compressed" },
  { name: "zlib clusters of 2M", options: "cluster_size=2M", filled: "compressed" },
  { name: "zstd clusters", options: "compression_type=zstd", filled: "compressed" },
  { name: "zstd clusters of 4k", options: "compression_type=zstd,cluster_size=4k", filled: "compressed" },
  { name: "an internal snapshot", options: "cluster_size=8k", filled: "snapshot" },
  { name: "an internal snapshot, version 2", options: "compat=0.10", filled: "snapshot" },
  { name: "a raw backing file", options: "cluster_size=8k", backing: "raw" },
  { name: "a shorter raw backing file", options: "cluster_size=4k", backing: "short raw" },
  { name: "a qcow2 backing file with compressed clusters", options: "", backing: "qcow2" },
];

/** Makes an image of a variant; the model is what a guest sees of it. */
function create({ options, filled, backing }: Variant, seed: number): { path: string; model: Buffer } {
  const path = newPath();
  const flags = options === "" ? [] : ["-o", options];
  if (backing !== undefined) {
    const base = newPath("raw");
    const model = Buffer.alloc(SIZE);
    const below = content(seed, backing === "short raw" ? 2 * MIB + 512 : SIZE);
    model.set(below);
    writeFileSync(base, below);
    let [name, format] = [base, "raw"];
    if (backing === "qcow2") {
      [name, format] = [newPath(), "qcow2"];
      qemuImg("convert", "-c", "-f", "raw", "-O", "qcow2", base, name);
    }
    qemuImg("create", "-q", "-f", "qcow2", ...flags, "-b", name, "-F", format, path, `${SIZE}`);
    return { path, model };
  }
  if (filled === undefined) {
    qemuImg("create", "-q", "-f", "qcow2", ...flags, path, `${SIZE}`);
    return { path, model: Buffer.alloc(SIZE) };
  }
  const model = content(seed);
  const raw = newPath("raw");
  writeFileSync(raw, model);
  const compress = filled === "compressed" ? ["-c"] : [];
  qemuImg("convert", ...compress, "-f", "raw", "-O", "qcow2", ...flags, raw, path);
  rmSync(raw);
  if (filled === "zeros") {
    // Once with the clusters kept, once with them given up.
    for (const [command, from, to] of [
      ["write -z", 64 * KIB, MIB],
      ["write -zu", 2 * MIB, 3 * MIB],
    ] as const) {
      execFileSync("qemu-io", ["-f", "qcow2", "-c", `${command} ${from} ${to - from}`, path], { stdio: "ignore" });
      model.fill(0, from, to);
    }
  }
  if (filled === "snapshot") qemuImg("snapshot", "-c", "before", path);
  return { path, model };
}

interface Operation {
  readonly kind: "write" | "read" | "flush" | "reopen";
  readonly sector: number;
  readonly count: number;
  readonly fill: number;
}

const sectors = SIZE / 512;
const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom("write", "write", "write", "read", "flush", "reopen"),
  sector: fc.oneof(fc.nat(sectors - 1), fc.nat(64), fc.constantFrom(sectors - 1, sectors - 2)),
  count: fc.oneof(fc.integer({ min: 1, max: 16 }), fc.integer({ min: 1, max: 512 })),
  fill: fc.nat(255),
});

/** Does the operations on image and model: writes several at a time as long as they do not touch each other. */
async function perform(path: string, model: Buffer, operations: readonly Operation[]): Promise<void> {
  let disk = await openImage(path);
  expect(disk.sectors).toBe(sectors);
  let writing: { readonly from: number; readonly to: number; readonly done: void | Promise<void> }[] = [];
  const settle = async (): Promise<void> => {
    await Promise.all(writing.map(({ done }) => done));
    writing = [];
  };
  for (const { kind, sector, count, fill } of operations) {
    const [from, to] = [sector * 512, Math.min(sector + count, sectors) * 512];
    if (kind !== "write" || writing.some((other) => from < other.to && other.from < to)) await settle();
    if (kind === "flush") await disk.flush();
    else if (kind === "reopen") {
      await disk.close();
      disk = await openImage(path);
    } else if (kind === "read") {
      const seen = Buffer.alloc(to - from);
      await disk.read(sector, seen);
      expect(seen.equals(model.subarray(from, to))).toBe(true);
    } else {
      const bytes = Buffer.alloc(to - from, fill);
      bytes.writeUInt32LE((fill * 0x01010101) >>> 0);
      bytes.copy(model, from);
      writing.push({ from, to, done: disk.write(sector, bytes) });
    }
  }
  await settle();
  const seen = Buffer.alloc(SIZE);
  await disk.read(0, seen);
  expect(seen.equals(model)).toBe(true);
  await disk.close();
}

describe.skipIf(!hasQemuImg)("qcow2 images, judged by qemu-img", () => {
  it.each(VARIANTS)(
    "$name: what is written is read, by us and by qemu-img, which finds neither errors nor leaks",
    async (variant) => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.array(operation, { minLength: 4, maxLength: 40 }), async (seed, operations) => {
          const { path, model } = create(variant, seed);
          const before = Buffer.from(model);
          await perform(path, model, operations);
          expect(check(path)).toEqual({ errors: 0, corruptions: 0, leaks: 0 });
          const raw = newPath("raw");
          writeFileSync(raw, model);
          expect(qemuImg("compare", "-f", "qcow2", "-F", "raw", path, raw)).toContain("Images are identical");
          if (variant.filled === "snapshot") {
            qemuImg("convert", "-l", "before", "-f", "qcow2", "-O", "raw", path, raw);
            expect(readFileSync(raw).equals(before)).toBe(true);
          }
          rmSync(raw);
          rmSync(path);
        }),
        { numRuns: RUNS },
      );
    },
  );
});
