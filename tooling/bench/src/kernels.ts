import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
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

/** The thirteen that compute the same in 32 and in 64 bits; `bignum` works with words of the machine's width. */
export const THIRTEEN: readonly KernelName[] = KERNELS.filter((name) => name !== "bignum");
/** The eleven whose geometric mean is quoted first; the other two are dominated by one kind of instruction each. */
export const ELEVEN: readonly KernelName[] = THIRTEEN.filter((name) => !["repmovs", "fp"].includes(name));

const COMMON = [
  "-O2",
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
const LINUX = ["linux.c", "work.c"];
const bare = (start: string) => ["-T", "bare.ld", start, "bare.c", "work.c"];
/** SSE2 for both widths, so that `fp` is the same instructions and the same checksum. */
const M32 = ["-m32", "-msse2", "-mfpmath=sse"];
const M64_BARE = ["-m64", "-mno-red-zone", "-mcmodel=small", "-Wl,-z,max-page-size=4096"];

/** The same programs as Linux ELF files and as multiboot images without an operating system that print on COM1. */
export interface Builds {
  readonly linux64: string;
  readonly bare64: string;
  /** Undefined where the compiler has no `-m32`. */
  readonly m32?: { readonly linux32: string; readonly bare32: string };
}

async function compile(name: string, flags: readonly string[], files: readonly string[]): Promise<string> {
  const out = join(benchCache, name);
  const paths = files.map((file) => (file.startsWith("-") ? file : join(kernelSources, file)));
  const built = await measure("gcc", [...COMMON, ...flags, ...paths, "-o", `${out}.part`]);
  if (built.status !== 0) throw new BenchError(`gcc ${flags[0]} failed: ${built.stderr.slice(-500)}`);
  return out;
}

const keep = (path: string): Promise<void> => rename(`${path}.part`, path);

/**
 * Builds the programs in every form.
 *
 * @throws BenchError when gcc or objcopy is missing or fails, except for 32 bits, of which `say` tells.
 */
export async function buildKernels(say: (text: string) => void): Promise<Builds> {
  await mkdir(benchCache, { recursive: true });
  const linux64 = await compile("linux64", ["-m64"], LINUX);
  const bare64 = await compile("bare64", M64_BARE, bare("bare64.S"));
  // QEMU takes a multiboot image only as a 32-bit ELF file, whatever the code in it is.
  const copied = await measure("objcopy", ["-O", "elf32-i386", `${bare64}.part`]);
  if (copied.status !== 0) throw new BenchError(`objcopy failed: ${copied.stderr.slice(-500)}`);
  await keep(linux64);
  await keep(bare64);
  try {
    const linux32 = await compile("linux32", M32, LINUX);
    const bare32 = await compile("bare32", M32, bare("bare32.S"));
    await keep(linux32);
    await keep(bare32);
    return { linux64, bare64, m32: { linux32, bare32 } };
  } catch (error) {
    if (!(error instanceof BenchError)) throw error;
    say(`no 32-bit programs, hence no v86: ${error.message}`);
    return { linux64, bare64 };
  }
}
