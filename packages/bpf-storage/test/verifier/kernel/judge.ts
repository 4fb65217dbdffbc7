import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { encodeInsns, type Insn } from "../../../src/isa/insn.js";
import type { VerifierMap } from "../../../src/verifier/request.js";

/** Verdicts of a real kernel: of the one that runs, or of an image that is booted in QEMU. */

/** A program to be judged. */
export interface Case {
  readonly name: string;
  readonly insns: readonly Insn[];
  readonly type: number;
  readonly attach: number;
  /** Flags of BPF_PROG_LOAD. */
  readonly flags: number;
}

/** A map that programs name by {@link FIRST_FD} and its place. */
export interface JudgeMap {
  readonly map: VerifierMap;
  /** Numbers of its key's and its value's type. */
  readonly types?: readonly [key: number, value: number];
}

export interface KernelVerdict {
  /** 0 for a program that is accepted. */
  readonly errno: number;
  /** The last line of the log before the statistics, at most 160 characters. */
  readonly message: string;
}

export interface Judgement {
  /** `uname -r` of the kernel. */
  readonly release: string;
  readonly verdicts: readonly KernelVerdict[];
}

export const FIRST_FD = 1000;
/** Milliseconds that a machine may take. */
const LONGEST = 3_600_000;
/** With one CPU, bpf_get_smp_processor_id() is known to return 0. */
const QEMU = ["-smp", "2", "-accel", "tcg", "-cpu", "max", "-m", "2G", "-nographic", "-no-reboot"];

/** @param image of a kernel (bzImage); without it the running one judges, which wants root */
export function judge(
  cases: readonly Case[],
  types: Uint8Array,
  maps: readonly JudgeMap[],
  image: string | undefined,
): Judgement {
  const folder = mkdtempSync(join(tmpdir(), "vm-bpf-judge-"));
  try {
    const program = join(folder, "judge");
    const source = fileURLToPath(new URL("judge.c", import.meta.url));
    execFileSync("cc", ["-O1", "-static", "-o", program, source]);
    writeFileSync(join(folder, "input"), inputOf(cases, types, maps));
    const options = { maxBuffer: 1 << 30, timeout: LONGEST, encoding: "latin1" } as const;
    if (image === undefined) return parse(execFileSync(program, [join(folder, "input")], options), cases.length);
    const append = "console=ttyS0 quiet panic=-1 mitigations=off";
    const machine = [...QEMU, "-kernel", image, "-initrd", initramfs(folder), "-append", append];
    return parse(execFileSync("qemu-system-x86_64", machine, options), cases.length);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function initramfs(folder: string): string {
  const root = join(folder, "root");
  mkdirSync(join(root, "dev"), { recursive: true });
  copyFileSync(join(folder, "judge"), join(root, "init"));
  copyFileSync(join(folder, "input"), join(root, "input"));
  const archive = join(folder, "initramfs");
  execFileSync("sh", ["-c", `find . | cpio --quiet -o -H newc > ${archive}`], { cwd: root });
  return archive;
}

/** What judge.c reads. */
function inputOf(cases: readonly Case[], types: Uint8Array, maps: readonly JudgeMap[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const words = (...values: readonly number[]): void => {
    parts.push(new Uint8Array(Uint32Array.from(values, (value) => value >>> 0).buffer));
  };
  const bytes = (value: Uint8Array): void => {
    parts.push(value, new Uint8Array(-value.length & 3));
  };
  words(types.length);
  bytes(types);
  words(maps.length);
  for (const { map, types: [key, value] = [0, 0] } of maps) {
    words(map.type, map.keySize, map.valueSize, map.maxEntries, map.flags, key, value);
    const { frozen } = map;
    words(map.inner === undefined ? 0 : 1, frozen === undefined ? 0 : 1, frozen?.length ?? 0);
    bytes(frozen ?? new Uint8Array());
  }
  words(cases.length);
  for (const { type, attach, flags, insns } of cases) {
    words(type, attach, flags, insns.length);
    bytes(encodeInsns(insns));
  }
  return Buffer.concat(parts);
}

/** @throws {Error} if the kernel did not come to an end, or could not make what the programs use */
function parse(output: string, count: number): Judgement {
  const lines = output.replaceAll("\r", "").split("\n");
  const failed = lines.filter((line) => line.startsWith("failed "));
  if (failed.length > 0 || !lines.includes("end"))
    throw new Error(`no judgement: ${failed.concat(lines.slice(-3)).join("; ")}`);
  const verdicts: KernelVerdict[] = [];
  let release = "";
  for (const line of lines) {
    // Firmware leaves its words in front of the first line.
    release = /kernel (\d\S*)$/.exec(line)?.[1] ?? release;
    const [, number, errno, message = ""] = /^(\d+) (\d+) (.*)$/.exec(line) ?? [];
    if (number !== undefined) verdicts[Number(number)] = { errno: Number(errno), message };
  }
  const missing = Array.from({ length: count }, (_, k) => k).filter((k) => verdicts[k] === undefined);
  if (missing.length > 0) throw new Error(`no verdict on ${missing.length} programs, first ${missing[0]}`);
  return { release, verdicts };
}
