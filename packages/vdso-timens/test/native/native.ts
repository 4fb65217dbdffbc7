import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  ClockMode,
  fillNamespacePage,
  type Offsets,
  TimePage,
  type TimeReading,
  type VvarAbi,
  type VvarAbiName,
  type VvarPage,
  vdsoImage,
} from "@vm/vdso-timens";

/** Runs programs of this host with our image and pages, by `launch.c`. */

const PAGE = 4096;

/** What a run has besides the ABI. */
export interface NativeOptions {
  readonly abi: VvarAbiName;
  /** Runs it in a namespace of these offsets. */
  readonly offsets?: Offsets;
  /** What the high-resolution clocks count by; default TSC. */
  readonly mode?: "tsc" | "none" | "pvclock";
}

export interface NativeRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Stores into a page of a file that others have mapped. */
function fileStore(fd: number, at: number) {
  const word = Buffer.alloc(8);
  return {
    u32: (offset: number, value: number) => {
      word.writeUInt32LE(value >>> 0);
      writeSync(fd, word, 0, 4, at + offset);
    },
    u64: (offset: number, value: bigint) => {
      word.writeBigUInt64LE(value);
      writeSync(fd, word, 0, 8, at + offset);
    },
  };
}

/** The kernel's reading, out of a line of `launch.c`. */
function readingOf(line: string, mode: TimeReading["mode"]): TimeReading {
  const n = line.trim().split(" ").map(BigInt);
  const at = (k: number): bigint => n[k] as bigint;
  const scale = (k: number) => ({ cycleLast: at(k), mult: Number(at(k + 1)), shift: Number(at(k + 2)) });
  const base = (k: number) => ({ sec: Number(at(k)), shifted: at(k + 1) });
  const coarse = (k: number) => ({ sec: Number(at(k)), nsec: Number(at(k + 1)) });
  return {
    mode,
    scale: scale(0),
    rawScale: scale(3),
    realtime: base(6),
    monotonic: base(8),
    boottime: base(10),
    tai: base(12),
    raw: base(14),
    realtimeCoarse: coarse(16),
    monotonicCoarse: coarse(18),
    resolutionNs: 1,
  };
}

/** Why nothing can be run here; null if it can. */
export function unable(): string | null {
  if (process.platform !== "linux" || process.arch !== "x64") return "needs Linux on x86-64";
  return null;
}

export class Native {
  readonly #folder: string;
  readonly #launch: string;
  #maps = 0;

  /** @param folder empty, where files may be put; on a file system in memory, or stores are slow */
  constructor(folder: string) {
    this.#folder = folder;
    this.#launch = join(folder, "launch");
    const source = fileURLToPath(new URL("launch.c", import.meta.url));
    execFileSync("cc", ["-O2", "-Wall", "-o", this.#launch, source, "-lpthread"]);
  }

  /** Runs a program to its end. */
  async run(options: NativeOptions, program: string, ...args: string[]): Promise<NativeRun> {
    const { bytes, abi } = vdsoImage({ abi: options.abi });
    const map = join(this.#folder, `map${this.#maps++}`);
    writeFileSync(map, new Uint8Array(abi.pages.length * PAGE + bytes.length));
    const fd = openSync(map, "r+");
    try {
      writeSync(fd, bytes, 0, bytes.length, abi.pages.length * PAGE);
      return await this.#run(options, abi, fd, [
        map,
        String(abi.pages.length),
        String(bytes.length / PAGE),
        program,
        ...args,
      ]);
    } finally {
      closeSync(fd);
    }
  }

  async #run({ offsets, mode = "tsc" }: NativeOptions, abi: VvarAbi, fd: number, args: string[]): Promise<NativeRun> {
    const slot = (page: VvarPage) => fileStore(fd, abi.pages.indexOf(page) * PAGE);
    // In a namespace its page stands where the real one is otherwise.
    if (offsets !== undefined) fillNamespacePage(slot("time"), abi, offsets);
    const page = new TimePage(slot(offsets === undefined ? "time" : "timens"), abi);
    const counter = { tsc: ClockMode.Tsc, none: ClockMode.None, pvclock: ClockMode.Tsc }[mode] as TimeReading["mode"];
    const child = spawn(this.#launch, args, { stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"] });
    const [, , , readings, go] = child.stdio as unknown as [
      null,
      null,
      null,
      NodeJS.ReadableStream,
      NodeJS.WritableStream,
    ];
    let begun = false;
    createInterface({ input: readings }).on("line", (line) => {
      page.update(readingOf(line, counter));
      if (begun) return;
      begun = true;
      go.write("g");
    });
    return ended(child);
  }
}

function ended(child: ChildProcess): Promise<NativeRun> {
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (status) => resolve({ status, ...texts }));
  });
}
