import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { readTar, TarError } from "../src/tar.js";

const LONG = `${"d".repeat(90)}/${"e".repeat(90)}`;

function archive(): Buffer {
  const dir = mkdtempSync(join(tmpdir(), "vm-tar-"));
  mkdirSync(join(dir, "d".repeat(90)));
  writeFileSync(join(dir, "a"), "hello");
  writeFileSync(join(dir, "big"), Buffer.alloc(100_000, 7));
  writeFileSync(join(dir, LONG), "long");
  return execFileSync("tar", ["-c", "-f", "-", "--format=gnu", "."], { cwd: dir });
}

async function* chunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(
  bytes: Uint8Array,
  size: number,
  wanted: (path: string) => boolean,
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for await (const { path, data } of readTar(chunks(bytes, size), wanted)) found[path] = data.length;
  return found;
}

it.each([1, 511, 512, 65_536])("reads what tar writes, long names included, in chunks of %d bytes", async (size) => {
  expect(await read(archive(), size, () => true)).toEqual({ a: 5, big: 100_000, [LONG]: 4 });
});

it("skips what is not wanted", async () => {
  expect(await read(archive(), 4096, (path) => path === "a")).toEqual({ a: 5 });
});

it("refuses a truncated archive", async () => {
  const whole = archive();
  await expect(read(whole.subarray(0, 50_000), 4096, () => true)).rejects.toThrow(TarError);
});

it("refuses a header whose checksum is wrong", async () => {
  const damaged = Buffer.from(archive());
  damaged[0] = (damaged[0] ?? 0) ^ 1;
  await expect(read(damaged, 4096, () => true)).rejects.toThrow(/checksum/);
});
