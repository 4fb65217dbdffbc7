import { describe, expect, it } from "vitest";
import { parseClockOffset, parseClockRate } from "../src/cli/clock-flags.js";
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

describe("--clock-offset", () => {
  it.each([
    ["+1y", { clockOffset: 365 * 86400 }],
    ["-3d", { clockOffset: -3 * 86400 }],
    ["+2h30m", { clockOffset: 9000 }],
    ["1w1s", { clockOffset: 604801 }],
    ["+0s", { clockOffset: 0 }],
    ["2030-01-31", { unixTime: Date.UTC(2030, 0, 31) / 1000 }],
    ["2030-01-31T12:00", { unixTime: Date.UTC(2030, 0, 31, 12) / 1000 }],
    ["2030-01-31 12:00:30.5Z", { unixTime: Date.UTC(2030, 0, 31, 12, 0, 30, 500) / 1000 }],
    ["2030-01-31T12:00+02:00", { unixTime: Date.UTC(2030, 0, 31, 10) / 1000 }],
  ])("%s", (text, start) => {
    expect(parseClockOffset(text)).toEqual(start);
  });

  it.each(["", "+", "soon", "5", "+1", "1.5d", "+1d1y", "+1d-2h", "2030", "2030-13-01", "2030-01-31T25:00"])(
    "refuses %j",
    (text) => {
      const sentence = `--clock-offset "${text}" is not an offset such as +1y, -3d or +2h30m (y w d h m s, a year is 365 days), or a date such as `;
      expect(() => parseClockOffset(text)).toThrow(UsageError);
      expect(() => parseClockOffset(text)).toThrow(sentence);
    },
  );

  it.each(["1969-12-31", "2117-01-01", "+147y", "-9999999999y"])("refuses %s, which no machine can have", (text) => {
    expect(() => parseClockOffset(text)).toThrow(
      `--clock-offset "${text}": the time of day can be from 1970-01-01 to 2116-02-20`,
    );
  });
});

describe("--clock-rate", () => {
  it.each([
    ["10", 10],
    ["0.001", 0.001],
    [".5", 0.5],
    ["1000", 1000],
  ])("%s", (text, rate) => {
    expect(parseClockRate(text)).toBe(rate);
  });

  it.each(["", "fast", "0", "-1", "1001", "1e2", "0x10", "10x"])("refuses %j", (text) => {
    expect(() => parseClockRate(text)).toThrow(`--clock-rate "${text}" is not a number from 0.001 to 1000`);
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
