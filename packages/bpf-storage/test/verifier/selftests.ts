import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeInsns, type Insn } from "../../src/isa/insn.js";
import type { ProgramType } from "../../src/uapi/program-types.js";

/** The cases of the kernel's test_verifier, taken from its sources at the time of the test: none of them is kept in this repository. */

export const Expected = { accept: 1, reject: 2, verboseAccept: 3 } as const;

/** A case, as dump.c prints it. */
export interface SelfTest {
  /** The file of the case, without ".c": its category. */
  readonly file: string;
  readonly name: string;
  readonly type: number;
  readonly attach: number;
  readonly flags: number;
  readonly result: number;
  /** Parts of the log, separated by tabs. */
  readonly error: string;
  readonly kfunc: string;
  readonly fixups: Readonly<Record<string, readonly number[]>>;
  readonly kfuncs: readonly (readonly [string, number])[];
  readonly funcInfo: readonly (readonly [number, number])[];
  readonly btfStrings: string;
  readonly btfTypes: readonly number[];
  readonly insns: string;
}

/** All cases of the tree at `source` (tools/testing/selftests/bpf of linux 6.1), by a C program that is compiled for it. */
export const extractSelfTests = (source: string): SelfTest[] => {
  const folder = mkdtempSync(join(tmpdir(), "vm-bpf-selftests-"));
  try {
    mkdirSync(join(folder, "verifier"));
    const files = readdirSync(join(source, "verifier")).filter((name) => name.endsWith(".c"));
    const includes = files.map(
      (name) => `{ .descr = "@${name.slice(0, -2)}" },\n#include "${join(source, "verifier", name)}"`,
    );
    writeFileSync(join(folder, "verifier/tests.h"), `#ifdef FILL_ARRAY\n${includes.join("\n")}\n#endif\n`);
    const tools = join(source, "../../..");
    const flags = ["-w", "-O0", "-ffunction-sections", "-fdata-sections", `-I${folder}`, `-I${source}`];
    execFileSync("gcc", [
      ...[...flags, `-I${join(tools, "include/uapi")}`, `-I${join(tools, "include")}`],
      ...[fileURLToPath(new URL("native/dump.c", import.meta.url)), "-o", join(folder, "dump"), "-static"],
      ...["-Wl,--gc-sections", "-Wl,--unresolved-symbols=ignore-all"],
    ]);
    const text = execFileSync(join(folder, "dump"), { maxBuffer: 1 << 30, encoding: "utf8" });
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as SelfTest);
  } finally {
    rmSync(folder, { recursive: true });
  }
};

export const insnsOf = (test: SelfTest): Insn[] => decodeInsns(Uint8Array.from(Buffer.from(test.insns, "hex")));

/** The kind of program that a case without one is loaded as. */
export const typeOf = (test: SelfTest): ProgramType => (test.type === 0 ? 1 : test.type) as ProgramType;
