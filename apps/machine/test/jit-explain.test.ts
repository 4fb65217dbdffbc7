import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eax, ecx, mem, rsp, short } from "@vm/asm";
import type { Explanation, Landing } from "@vm/cpu";
import { afterAll, describe, expect, it } from "vitest";
import { parseAddress } from "../src/cli/jit/address.js";
import { explanationText } from "../src/cli/jit/explanation-text.js";
import { assemble, debugExit, elf, ORG } from "./bare-images.js";
import { run } from "./cli.js";

const dir = mkdtempSync(join(tmpdir(), "vm-explain-"));
afterAll(() => rmSync(dir, { recursive: true }));

/** A loop of 60,000 turns behind an instruction of 5 bytes. */
const image = join(dir, "loop");
const code = assemble(64, (a) => {
  a.mov(ecx, 60_000);
  const again = a.here("again");
  a.mov(eax, mem(rsp, { size: 4 }))
    .dec(ecx)
    .jne(short(again));
  debugExit(a, 0);
});
writeFileSync(image, elf({ bits: 64, code }));
const LOOP = (ORG + 5).toString(16);

const explain = (address: string, ...more: string[]) =>
  run("jit", "explain", address, "--bare", image, "--memory", "16M", "--clock", "icount", ...more);

describe("vm jit explain", () => {
  it("--help is on stdout, with status 0", async () => {
    const { status, stdout } = await run("jit", "explain", "--help");
    expect(status).toBe(0);
    for (const flag of "bare json no-wasm output exec kernel timeout".split(" ")) expect(stdout).toContain(`--${flag}`);
  });

  it("prints guest code, heat, exits and WebAssembly of what is hot, with the status of the run", async () => {
    const { status, stdout, stderr } = await explain(LOOP);
    expect([status, stderr]).toEqual([1, ""]);
    const [told, wasm] = stdout.split(/^wasm: .*\n/m) as [string, string];
    expect(readFileSync(new URL("../README.md", import.meta.url), "utf8")).toContain(
      `\`\`\`text\n${told.trimEnd()}\n\`\`\``,
    );
    expect(wasm).toMatch(/^\(module\n[\s\S]*\(func [\s\S]*\(export "0" \(func \d+\)\)\)\n$/);
  });

  it("--json is all that is known, --output writes it to a file", async () => {
    const file = join(dir, "explained.json");
    const { status, stdout } = await explain(LOOP, "--json", "--no-wasm", "--output", file);
    expect([status, stdout]).toEqual([1, ""]);
    const { address, regions } = JSON.parse(readFileSync(file, "utf8"));
    expect(address).toBe(`0x${LOOP}`);
    expect(regions).toMatchObject([{ state: "used", wasm: null, exits: [{ kind: "record", count: 1 }] }]);
    expect(regions[0].blocks[0].instructions[0]).toEqual({
      address: `0x${LOOP}`,
      bytes: "8b0424",
      text: "mov eax, dword ptr [rsp]",
    });
  });

  it("says why an address is in no region", async () => {
    expect((await explain((ORG + 0x2000).toString(16))).stdout).toMatch(/^0x102000 is in no region: no 64-bit code/);
    expect((await explain((ORG + 0x800).toString(16))).stdout).toMatch(
      /^0x100800 is in no region: it was never executed/,
    );
    expect((await explain(ORG.toString(16))).stdout).toMatch(
      /^0x100000 is in no region: control came to it 1 of the 12,000 times that make it hot\.\n$/,
    );
  });

  it.each([
    ["no address", [], "missing required argument 'address'"],
    ["a name", ["vfs_read", "--bare", image], '"vfs_read" is no address'],
    ["an address that is not canonical", ["800000000000000", "--bare", image], "it is not canonical"],
    ["an engine without regions", ["1000", "--bare", image, "--engine", "interpreter"], "makes no regions"],
    ["an image and a kernel", ["1000", "--bare", image, "--kernel", image], "--kernel is not for --bare"],
    ["an image and a command", ["1000", "--bare", image, "--exec", "true"], "--exec is not for --bare"],
    ["a module of a kernel", ["1000", "--builtin", "--module", image], "--module needs --bare"],
    ["a missing image", ["1000", "--bare", join(dir, "none")], "none: no such file"],
  ])("%s is one sentence on stderr and status 2", async (_, args, message) => {
    const { status, stdout, stderr } = await run("jit", "explain", ...args);
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^vm: [^\n]+\n$/);
    expect([status, stdout]).toEqual([2, ""]);
  });
});

describe("an address", () => {
  it("is hexadecimal, with 0x or without", () => {
    expect(parseAddress("0xFFFFffff81000000")).toBe(0xffffffff81000000n);
    expect(parseAddress("401136")).toBe(0x401136n);
  });
});

describe("what is in no region", () => {
  const nothing: Explanation = { address: 0x1004n, regions: [], forgotten: 0, refused: 0, now: null };
  const code: Landing = { address: 0x1004n, decoded: true, text: "dec ecx", regular: true, head: null };
  const head = { address: 0x1000n, heat: 7, threshold: 12_000, wished: false, region: null };
  it.each<[string, Partial<Explanation>, boolean, string]>([
    ["is not mapped", {}, false, "nothing is mapped there"],
    ["was no code", {}, true, "no 64-bit code of that page was executed"],
    ["was never executed", { now: { ...code, decoded: false, text: null } }, true, "it was never executed"],
    ["crosses pages", { now: { ...code, text: null, regular: false } }, true, "goes on in the next page"],
    [
      "is interpreted",
      { now: { ...code, text: "cpuid", regular: false }, refused: 2 },
      true,
      '"cpuid" is not for regions',
    ],
    ["is not hot", { now: { ...code, head } }, true, "0x1000, which leads to it, 7 of the 12,000 times"],
    [
      "is about to be made",
      { now: { ...code, head: { ...head, wished: true } } },
      true,
      "its region was about to be made",
    ],
    ["has another address", { now: { ...code, head: { ...head, region: 3 } } }, true, "region 3 begins at 0x1000"],
    ["is not led to", { now: code }, true, "control does not come to"],
  ])("%s", (_, known, mapped, message) => {
    expect(explanationText({ ...nothing, ...known }, new Map(), mapped)).toContain(message);
  });
});
