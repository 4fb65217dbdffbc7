import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Btf, type Generation } from "../../src/index.js";

/** What a kernel is known by here: the folder of the BPF selftests in its sources, and its types. */
export interface KernelSources {
  readonly generation: Generation;
  /** `tools/testing/selftests/bpf` */
  readonly folder: string;
  /** A file of BTF. */
  readonly types: string;
}

const VARIABLES: Readonly<Record<Generation, readonly [string, string]>> = {
  "6.1": ["VM_BPF_LINUX_61", "VM_BPF_TYPES_61"],
  "6.12": ["VM_BPF_LINUX_612", "VM_BPF_TYPES_612"],
};

/** From the selftests to libbpf, in the sources of a kernel. */
const LIBBPF = "../../../lib/bpf";

/** Names of the variables that say where a generation's sources and types are. */
export const variablesOf = (generation: Generation): string => VARIABLES[generation].join(" and ");

/** The sources of a generation; null if the variables name none. @throws {Error} if they name what is not there */
export function sourcesOf(generation: Generation): KernelSources | null {
  const [folder, types] = VARIABLES[generation].map((name) => process.env[name]);
  if (folder === undefined || types === undefined) return null;
  for (const path of [join(folder, "progs"), types]) if (!existsSync(path)) throw new Error(`there is no ${path}`);
  return { generation, folder, types };
}

/** The selftests' programs of a kernel, compiled when they are asked for in a folder that is gone after {@link dispose}. */
export class Compiled {
  readonly btf: Btf;
  readonly #folder: string;
  readonly #objects = new Map<string, Uint8Array>();

  /** @throws {Error} if there is no bpftool, or it cannot make a header of the types */
  constructor(readonly sources: KernelSources) {
    this.btf = new Btf(new Uint8Array(readFileSync(sources.types)));
    this.#folder = mkdtempSync(join(tmpdir(), "selftests-"));
    const header = execFileSync("bpftool", ["btf", "dump", "file", sources.types, "format", "c"], {
      maxBuffer: 64 << 20,
    });
    writeFileSync(join(this.#folder, "vmlinux.h"), header);
    // Headers of the C library ask for that of another machine's calls where the target is none of its own.
    mkdirSync(join(this.#folder, "gnu"));
    writeFileSync(join(this.#folder, "gnu", "stubs-32.h"), "");
    // Programs use macros of their own kernel's libbpf, which may be newer than the one that is installed.
    mkdirSync(join(this.#folder, "bpf"));
    symlinkSync(resolve(sources.folder, LIBBPF, "bpf_core_read.h"), join(this.#folder, "bpf", "bpf_core_read.h"));
  }

  /** The object of `progs/NAME.c`. @throws {Error} if it cannot be compiled */
  object(name: string): Uint8Array {
    const known = this.#objects.get(name);
    if (known !== undefined) return known;
    const { folder } = this.sources;
    const output = join(this.#folder, `${name}.bpf.o`);
    execFileSync(
      "clang-14",
      [
        ...["-target", "bpf", "-mcpu=v3", "-g", "-O2", "-D__TARGET_ARCH_x86", "-Wno-everything"],
        ...["-I", this.#folder, "-I", "/usr/include/bpf", "-idirafter", "/usr/include/x86_64-linux-gnu"],
        ...["-c", join(folder, "progs", `${name}.c`), "-o", output],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    const bytes = new Uint8Array(readFileSync(output));
    this.#objects.set(name, bytes);
    return bytes;
  }

  dispose(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
