import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { UsageError } from "../src/cli/errors.js";
import { openDisk } from "../src/cli/file-disk.js";

const dir = mkdtempSync(join(tmpdir(), "vm-disk-"));
const path = join(dir, "disk.img");
afterAll(() => rmSync(dir, { recursive: true }));
beforeEach(() => writeFileSync(path, new Uint8Array(2048).fill(7)));

describe("a disk in a file", () => {
  it("has the sectors of the file", () => {
    const disk = openDisk(path);
    expect([disk.sectors, disk.readonly]).toEqual([4, false]);
    disk.close();
  });

  it("a write is in the file when it returns, nothing else has changed", () => {
    const disk = openDisk(path);
    disk.write(2, new Uint8Array(512).fill(9));
    const file = readFileSync(path);
    expect([file[1023], file[1024], file[1535], file[1536], file.length]).toEqual([7, 9, 9, 7, 2048]);
    const sector = new Uint8Array(512);
    disk.read(2, sector);
    expect(sector).toEqual(new Uint8Array(512).fill(9));
    disk.flush();
    disk.close();
  });

  it("an image that shrank gives an error, not stale data", () => {
    const disk = openDisk(path);
    truncateSync(path, 512);
    expect(() => disk.read(1, new Uint8Array(512))).toThrow("ends before byte 512");
    disk.close();
  });

  it("with :ro it is read-only", () => {
    const disk = openDisk(`${path}:ro`);
    expect(disk.readonly).toBe(true);
    expect(() => disk.write(0, new Uint8Array(512))).toThrow();
    disk.close();
  });

  it.each([
    ["that does not exist", join(dir, "none"), "none: no such file"],
    ["that is a directory", dir, "it is a directory"],
    ["that is a read-only directory", `${dir}:ro`, "it is not a file"],
    ["that is a character device", "/dev/null", "it is not a file"],
  ])("refuses one %s", (_, argument, message) => {
    expect(() => openDisk(argument)).toThrow(UsageError);
    expect(() => openDisk(argument)).toThrow(message);
  });

  it.each([
    [0, "it is empty"],
    [513, "513 bytes is not a multiple of 512"],
  ])("refuses one of %d bytes", (size, message) => {
    writeFileSync(path, new Uint8Array(size));
    expect(() => openDisk(path)).toThrow(message);
  });
});
