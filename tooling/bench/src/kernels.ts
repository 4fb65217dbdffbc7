import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { packCpio } from "@vm/guests";
import { BenchError } from "./errors.js";
import { measure } from "./measure.js";
import { benchCache, kernelSources } from "./paths.js";

/** The programs, in the order of work.c's table (its `only` argument counts from 1). */
export const KERNELS = [
  "intloop",
  "collatz",
  "sieve",
  "memcpy",
  "repmovs",
  "sha256",
  "dhry",
  "cmark",
  "interp",
  "calls",
  "random",
  "fp",
  "u64",
  "bignum",
] as const;
/** Name of a program. */
export type KernelName = (typeof KERNELS)[number];

/** The eleven whose geometric mean is quoted; the others are dominated by one instruction each. */
export const ELEVEN: readonly KernelName[] = KERNELS.filter((name) => !["repmovs", "fp", "bignum"].includes(name));

const FLAGS = [
  "-O2",
  "-m64",
  "-ffreestanding",
  "-fno-builtin",
  "-fno-stack-protector",
  "-fno-pic",
  "-no-pie",
  "-nostdlib",
  "-static",
  "-fno-asynchronous-unwind-tables",
  "-fno-tree-loop-distribute-patterns",
  "-fcf-protection=none",
  "-Wno-unknown-pragmas",
];

/** Path in the guest of the program {@link addToInitrd} adds. */
export const GUEST_PATH = "/bench/linux64";

/**
 * Builds the programs as one static ELF.
 *
 * @throws BenchError when gcc is missing or fails.
 */
export async function buildKernels(): Promise<string> {
  await mkdir(benchCache, { recursive: true });
  const elf = join(benchCache, "linux64");
  const sources = ["linux.c", "work.c"].map((name) => join(kernelSources, name));
  const built = await measure("gcc", [...FLAGS, ...sources, "-o", `${elf}.part`]);
  if (built.status !== 0) throw new BenchError(`gcc failed: ${built.stderr.slice(-500)}`);
  await rename(`${elf}.part`, elf);
  return elf;
}

/** Writes an initramfs that is `initrd` followed by one with the program in it; the kernel unpacks both. */
export async function addToInitrd(initrd: string, elf: string): Promise<string> {
  const program = packCpio([
    { path: "bench", type: "directory" },
    { path: "bench/linux64", type: "file", mode: 0o755, data: await readFile(elf) },
  ]);
  const bytes = Buffer.concat([await readFile(initrd), program]);
  const path = join(benchCache, `initramfs-${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}.cpio`);
  await writeFile(`${path}.part`, bytes);
  await rename(`${path}.part`, path);
  return path;
}
