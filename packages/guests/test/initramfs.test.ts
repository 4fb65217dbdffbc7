import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { packInitramfs, readInit } from "../src/index.js";
import { unxz } from "../src/xz.js";

const parts = async () => ({
  busybox: new Uint8Array([1, 2, 3]),
  modules: new Map([["virtio", new Uint8Array([4])]]),
  init: await readInit(),
});
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

it("packs the same bytes from the same parts", async () => {
  expect(sha256(packInitramfs(await parts()))).toBe(sha256(packInitramfs(await parts())));
});

it("holds /init, busybox, its sh and the modules", async () => {
  const text = Buffer.from(packInitramfs(await parts())).toString("latin1");
  for (const path of ["init", "bin/busybox", "bin/sh", "lib/modules/virtio.ko", "dev", "proc", "sys"])
    expect(text).toContain(`${path}\0`);
});

it("ships an /init that a POSIX shell parses", async () => {
  expect(execFileSync("sh", ["-n"], { input: await readInit() }).toString()).toBe("");
});

it("undoes xz, and refuses what is not xz", async () => {
  // printf hello | xz --check=crc32
  const hello = Buffer.from(
    "/Td6WFoAAAFpIt42AgAhARYAAAB0L+WjAQAEaGVsbG8AAAAAhqYQNgABGQW86OzLkEKZDQEAAAAAAVla",
    "base64",
  );
  expect(Buffer.from(await unxz(hello)).toString()).toBe("hello");
  await expect(unxz(hello.subarray(0, 30))).rejects.toThrow(/xz stream/);
  await expect(unxz(new Uint8Array([1, 2, 3]))).rejects.toThrow(/xz stream/);
});
