import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { parseDiskArgument } from "../../src/cli/disk-argument.js";
import { UsageError } from "../../src/cli/errors.js";

const dir = mkdtempSync(join(tmpdir(), "vm-disk-"));
afterAll(() => rmSync(dir, { recursive: true }));

describe("--disk", () => {
  it.each<[string, string, string, string | undefined, boolean]>([
    ["a.img", "a.img", "rw", undefined, true],
    ["a.img:ro", "a.img", "ro", undefined, true],
    ["a.img:rw", "a.img", "rw", undefined, true],
    ["a.img:overlay", "a.img", "overlay", undefined, true],
    ["a.img,format=raw", "a.img", "rw", "raw", true],
    ["a.img:ro,format=qcow2,lock=off", "a.img", "ro", "qcow2", false],
    ["a.img,format=raw:ro", "a.img", "ro", "raw", true],
    ["C:disk:1.img", "C:disk:1.img", "rw", undefined, true],
    ["odd:ro:rw", "odd:ro", "rw", undefined, true],
    ["a,b:ro", "a,b", "ro", undefined, true],
    ["a,format=raw,format=raw", "", "", undefined, true],
  ])("%s", (argument, path, mode, format, lock) => {
    if (mode === "") expect(() => parseDiskArgument(argument)).toThrow("format is given twice");
    else expect(parseDiskArgument(argument)).toEqual({ path, mode, format, lock });
  });

  it.each([
    ["a.img,format=vmdk", "format=vmdk: expected raw or qcow2"],
    ["a.img,lock=no", "lock=no: expected on or off"],
    ["a.img,cache=none", "cache is no option"],
  ])("%s is refused", (argument, message) => {
    expect(() => parseDiskArgument(argument)).toThrow(UsageError);
    expect(() => parseDiskArgument(argument)).toThrow(message);
  });

  it("a file whose name holds what looks like an option is taken by its name", () => {
    const path = join(dir, "a,cache=none");
    writeFileSync(path, "");
    expect(parseDiskArgument(`${path}:ro`).path).toBe(path);
  });
});
