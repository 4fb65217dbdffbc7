/** What executes the benchmark programs: processors, ours, QEMU's TCG, npm's v86. */
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Builds } from "./kernels.js";
import { vmCli } from "./paths.js";
import { findV86, QEMU, QEMU_FLAGS, versionOf } from "./tools.js";

export type EngineName = "native64" | "ours" | "tcg" | "native32" | "v86";

/** One way to execute the programs. */
export interface Engine {
  readonly name: EngineName;
  /** What it is and of what version, for the report. */
  readonly title: string;
  readonly bits: 32 | 64;
  readonly native: boolean;
  /**
   * Program and arguments that run a kernel, or all of them.
   * @param scale amount of work, from 1 @param only number of the kernel from 1; 0: all
   */
  readonly command: (scale: number, only: number) => readonly [string, ...string[]];
}

const words = (scale: number, only: number) => `s=${scale},${only}`;

/** An engine that is the processor itself. */
const native = (name: EngineName, bits: 32 | 64, elf: string): Engine => ({
  name,
  title: `native, ${bits}-bit ELF`,
  bits,
  native: true,
  command: (scale, only) => [elf, String(scale), String(only)],
});

/**
 * The engines there are on this machine; `say` tells which are missing and why.
 * @param flags further flags of `vm run-bare`
 */
export async function findEngines(
  builds: Builds,
  flags: readonly string[],
  say: (text: string) => void,
): Promise<readonly Engine[]> {
  const engines: Engine[] = [
    native("native64", 64, builds.linux64),
    {
      name: "ours",
      title: `vm run-bare ${flags.join(" ")}`.trim(),
      bits: 64,
      native: false,
      command: (scale, only) => [
        ...([process.execPath, ...vmCli] as [string, ...string[]]),
        ...["run-bare", ...flags, "--append", words(scale, only), builds.bare64],
      ],
    },
  ];
  const qemu = await versionOf(QEMU);
  if (qemu === undefined) say(`${QEMU} is not installed: no TCG`);
  else
    engines.push({
      name: "tcg",
      title: qemu,
      bits: 64,
      native: false,
      command: (scale, only) => [
        QEMU,
        ...[...QEMU_FLAGS, "-m", "1024", "-kernel", builds.bare64, "-append", words(scale, only)],
      ],
    });
  if (builds.m32 === undefined) return engines;
  const { linux32, bare32 } = builds.m32;
  engines.push(native("native32", 32, linux32));
  const v86 = findV86();
  if (v86 === undefined) say("npm's v86 is not installed: no v86");
  else
    engines.push({
      name: "v86",
      title: `v86 ${(createRequire(import.meta.url)(fileURLToPath(new URL("../package.json", v86.module))) as { version: string }).version}`,
      bits: 32,
      native: false,
      command: (scale, only) => [
        process.execPath,
        ...[fileURLToPath(new URL("v86-run.js", import.meta.url)), bare32, words(scale, only)],
      ],
    });
  return engines;
}
