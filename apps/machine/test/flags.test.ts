import { describe, expect, it } from "vitest";
import { UsageError } from "../src/cli/errors.js";
import { type BootFlags, parseFlags } from "../src/cli/flags.js";
import { parseMemorySize } from "../src/cli/memory-size.js";

describe("--memory", () => {
  it.each([
    ["512M", 512 * 2 ** 20],
    ["512", 512 * 2 ** 20],
    ["1G", 2 ** 30],
    ["1.5g", 1.5 * 2 ** 30],
    ["65536k", 2 ** 26],
    ["256MiB", 2 ** 28],
  ])("%s", (text, bytes) => {
    expect(parseMemorySize(text)).toBe(bytes);
  });

  it.each(["", "lots", "-1M", "1T", "0x10", "1e3", "M"])("refuses %j", (text) => {
    expect(() => parseMemorySize(text)).toThrow(UsageError);
  });
});

describe("flags", () => {
  const defaults: BootFlags = { memory: "512M", cpus: "1", clock: "host", engine: "auto" };

  it("numbers", () => {
    expect(parseFlags({ ...defaults, cpus: "2", timeout: "1.5" })).toEqual({ memory: 2 ** 29, cpus: 2, timeout: 1.5 });
    expect(parseFlags(defaults).timeout).toBeNull();
  });

  it.each<[Partial<BootFlags>, string]>([
    [{ cpus: "two" }, '--cpus "two"'],
    [{ cpus: "-1" }, '--cpus "-1"'],
    [{ timeout: "0" }, '--timeout "0"'],
    [{ timeout: "soon" }, '--timeout "soon"'],
    [{ timeout: "1e9" }, '--timeout "1e9"'],
    [{ cpu: "+la58" }, '"+la58" is no feature to add or take away: + or - and one of fsgsbase'],
    [{ cpu: "pcid" }, '"pcid" is no feature'],
    [{ exec: " " }, "--exec needs a command"],
    [{ builtin: true, initrd: "x" }, "--builtin and --initrd name two things to boot"],
  ])("refuses %j", (flags, message) => {
    expect(() => parseFlags({ ...defaults, ...flags })).toThrow(UsageError);
    expect(() => parseFlags({ ...defaults, ...flags })).toThrow(message);
  });
});
