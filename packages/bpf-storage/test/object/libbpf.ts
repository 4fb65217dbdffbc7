import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeInsns, type Insn } from "../../src/isa/insn.js";
import type { LinkedProgram } from "../../src/object/link.js";

/** A folder of compiled selftests (`*.bpf.o`), the types and the configuration of the kernel they are for. */
export const FOLDER = process.env.VM_BPF_SELFTESTS ?? "";
export const TYPES = process.env.VM_BPF_TYPES ?? "/sys/kernel/btf/vmlinux";
const CONFIG = process.env.VM_BPF_CONFIG ?? "/dev/null";
const LIBRARY = ["/usr/lib/x86_64-linux-gnu/libbpf.a", "/usr/lib64/libbpf.a"].find((path) => existsSync(path));
const LOOKED_AT = ["syscall", "fopen", "fopen64", "gzopen", "gzopen64"];

/** Names of the selftests; none if the test has not been asked for. */
export const SELFTESTS =
  FOLDER === "" || !existsSync(TYPES) ? [] : readdirSync(FOLDER).filter((name) => name.endsWith(".o"));
/** Whether libbpf is here to compare with. */
export const HAS_LIBBPF = SELFTESTS.length > 0 && LIBRARY !== undefined;

export const readSelftest = (name: string): Uint8Array => new Uint8Array(readFileSync(join(FOLDER, name)));

/** What libbpf makes of an object. */
export interface Verdict {
  /** Instructions and functions of programs as they would be loaded, by the first 15 characters of their names. */
  readonly programs: ReadonlyMap<string, readonly string[]>;
  /** Numbers that maps have in those. */
  readonly maps: ReadonlyMap<string, number>;
}

/** libbpf, which believes that it loads objects into a kernel. */
export class Libbpf {
  readonly #folder = mkdtempSync(join(tmpdir(), "vm-bpf-libbpf-"));
  readonly #program = join(this.#folder, "libbpf");

  constructor() {
    const source = fileURLToPath(new URL("native/libbpf.c", import.meta.url));
    const wraps = LOOKED_AT.map((name) => `-Wl,--wrap=${name}`);
    execFileSync("cc", ["-O1", "-o", this.#program, source, ...wraps, LIBRARY ?? "", "-lelf", "-lz"], {
      stdio: "pipe",
    });
  }

  /** @param core file with the types that CO-RE is for. @returns null if the object is refused, or misses something of the kernel */
  load(name: string, core = TYPES): Verdict | null {
    const options = { encoding: "utf8", maxBuffer: 1 << 28 } as const;
    const { stdout } = spawnSync(this.#program, [join(FOLDER, name), TYPES, core, CONFIG], options);
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => line.split(" "));
    if (!rows.some(([word, code]) => word === "LOADED" && code === "0")) return null;
    const programs = new Map<string, string[]>();
    const maps = new Map<string, number>();
    for (const [word, first = "", second = "", third = ""] of rows) {
      if (word === "PROGRAM") programs.set(first, [...(programs.get(first) ?? []), `${second} ${third}`]);
      if (word === "MAP") maps.set(plainName(second), Number(first));
    }
    return { programs, maps };
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Maps of data have the name of the object in front, or are cut. */
const plainName = (name: string): string => {
  const plain = name.replace(/^.*?(\.(data|bss|rodata|kconfig))/, "$1");
  return plain.startsWith(".") ? plain.slice(0, 15) : plain;
};

/** A program of ours as {@link Verdict} has those of libbpf. */
export function asLibbpf(program: LinkedProgram, maps: Verdict["maps"], hasTypes: boolean): string {
  const insns = [...program.insns];
  for (const { pc, map } of program.maps) insns[pc] = { ...(insns[pc] as Insn), imm: maps.get(plainName(map)) ?? 0 };
  const info = hasTypes ? program.subprograms.map(({ pc, typeId }) => `${pc}:${typeId},`).join("") : "";
  return `${Buffer.from(encodeInsns(insns)).toString("hex")} ${info}`;
}
