import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "./in-process.js";

const dir = mkdtempSync(join(tmpdir(), "vm-td-verify-"));
afterAll(() => rmSync(dir, { recursive: true }));
const path = (name: string): string => join(dir, name);
const file = (name: string, content: Uint8Array | string): string => {
  writeFileSync(path(name), content);
  return path(name);
};

const TIME = "2026-01-15T12:00:00Z";
const outputs = (name: string): string[] => [
  ...["--out", path(name)],
  ...["--collateral-out", path(`${name}.json`)],
  ...["--root-out", path(`${name}.pem`)],
];
const verify = (quote: string, ...more: string[]) =>
  run("td", "verify", quote, "--collateral", path("q4.json"), "--root", path("q4.pem"), "--time", TIME, ...more);

beforeAll(async () => {
  const made = await run("td", "quote", "--report-data", "c0ffee", "--time", TIME, ...outputs("q4"));
  expect(made).toMatchObject({ status: 0, stdout: "", stderr: expect.stringContaining("SIMULATED TDX - NOT SECURE") });
});

describe("vm td quote and vm td verify", () => {
  it("a quote is accepted under the root that came with it, with status 0", async () => {
    const { status, stdout, stderr } = await verify(path("q4"));
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(
      /^verdict +accepted\nnotice +SIMULATED TDX - NOT SECURE.*\nstatus +UpToDate\nadvisories +none\n/,
    );
    expect(stdout).toMatch(/^reportData +c0ffee0{122}$/m);
    expect(stdout).toContain("version 4 of a TD");
  });

  it("so is one of version 5, and one in hexadecimal, told as JSON", async () => {
    await run("td", "quote", "--version", "5", "--time", TIME, ...outputs("q5"));
    const hex = file("q5.hex", `0x${readFileSync(path("q5")).toString("hex").replace(/.{60}/g, "$&\n")}\n`);
    const { status, stdout } = await verify(hex, "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      accepted: true,
      tcbStatus: "UpToDate",
      reasons: [],
      simulated: true,
      time: TIME,
      quote: { version: 5, bodyType: 3, tdAttributes: "0x10000000" },
      platform: { fmspc: "51ad51ad0000" },
    });
  });

  it("with one bit changed it is rejected, with status 1 and the reason", async () => {
    const quote = readFileSync(path("q4"));
    quote[200] = (quote[200] ?? 0) ^ 1;
    const { status, stdout, stderr } = await verify(file("flipped", quote));
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    expect(stdout).toMatch(/^verdict +REJECTED\n/);
    expect(stdout).toMatch(/^reason +QUOTE_SIGNATURE: /m);
  });

  it("another seed's root, and another time, are reasons too", async () => {
    await run("td", "quote", "--seed", "another", "--time", TIME, ...outputs("other"));
    const other = await verify(path("q4"), "--root", path("other.pem"));
    expect(other).toMatchObject({ status: 1, stdout: expect.stringContaining("CHAIN_ROOT") });
    const late = await verify(path("q4"), "--time", "2026-03-01");
    expect(late).toMatchObject({ status: 1, stdout: expect.stringContaining("TCB_INFO_TIME") });
  });

  it.each([
    ["a quote that is not there", ["nothing"], "no such file"],
    ["a quote of a few bytes", [file("few", "few")], "a quote has at least"],
    ["no time", [], "'--time <time>' not specified"],
    ["a time that is none", ["--time", "noon"], "--time noon"],
    ["a day that is none", ["--time", "2026-02-30"], "--time 2026-02-30"],
    ["a root that is none", ["--root", file("root", "root")], "the root is not a certificate"],
    ["collateral that is none", ["--collateral", file("collateral", "[]")], "not a JSON object"],
    ["a status that cannot be accepted", ["--accept", "Revoked"], "--accept Revoked"],
  ])("%s is one sentence on stderr and status 2", async (name, more, sentence) => {
    const flags: Record<string, string> = { collateral: path("q4.json"), root: path("q4.pem"), time: TIME };
    if (name === "no time") delete flags.time;
    const given = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
    const own = more[0]?.startsWith("--") || more.length === 0 ? [path("q4"), ...given, ...more] : [...more, ...given];
    const { status, stdout, stderr } = await run("td", "verify", ...own);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });

  it.each([
    ["report data of 65 bytes", ["--report-data", "00".repeat(65)], "--report-data"],
    ["a report that is none", ["--report", file("report", "report")], "--report"],
    ["a folder that is not there", ["--out", path("no/quote")], "no such file"],
  ])("making a quote of %s is a mistake as well", async (_, more, sentence) => {
    const { status, stderr } = await run("td", "quote", "--out", path("unused"), ...more);
    expect(status).toBe(2);
    expect(stderr).toContain(sentence);
  });
});
