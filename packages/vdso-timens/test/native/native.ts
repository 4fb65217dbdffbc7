import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import {
  ClockMode,
  fillNamespacePage,
  type Offsets,
  type PvclockInfo,
  PvclockPage,
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
  /** Seconds that `CLOCK_REALTIME` is ahead of the kernel's. */
  readonly ahead?: number;
  /** Called with the process, which is stopped before its first instruction and not traced. */
  readonly stopped?: (pid: number) => void;
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

/** Nanoseconds in steps of 1/256, which is how kvmclock counts here. */
const PV = { mult: 256, shift: 8 };

/**
 * The same reading as one of kvmclock, which begins anew at each.
 * @returns what its page is to say, and the reading
 */
function asPvclock(reading: TimeReading): { info: PvclockInfo; reading: TimeReading } {
  const { scale, monotonic } = reading;
  const systemTime = BigInt(monotonic.sec) * 1_000_000_000n + (monotonic.shifted >> BigInt(scale.shift));
  // Below 1 nanosecond a cycle: the multiplier has 32 bits behind the point.
  let [mul, tscShift] = [BigInt(scale.mult) << 32n, 0];
  mul >>= BigInt(scale.shift);
  while (mul >= 1n << 32n) {
    mul >>= 1n;
    tscShift++;
  }
  const info = { tscTimestamp: scale.cycleLast, systemTime, tscToSystemMul: Number(mul), tscShift, stable: true };
  const pv = { cycleLast: systemTime, ...PV };
  const base = ({ sec, shifted }: TimeReading["raw"], by: number) => ({ sec, shifted: (shifted >> BigInt(by)) << 8n });
  return {
    info,
    reading: {
      ...reading,
      mode: ClockMode.Pvclock,
      scale: pv,
      rawScale: pv,
      realtime: base(reading.realtime, scale.shift),
      monotonic: base(reading.monotonic, scale.shift),
      boottime: base(reading.boottime, scale.shift),
      tai: base(reading.tai, scale.shift),
      raw: base(reading.raw, reading.rawScale.shift),
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

/** Why nothing can be run here, as a sentence; null if it can. A program has been run then. */
export async function whyNot(folder: string): Promise<string | null> {
  if (process.platform !== "linux" || process.arch !== "x64") return "native programs need Linux on x86-64";
  try {
    execFileSync("cc", ["--version"], { stdio: "ignore" });
  } catch {
    return "no C compiler here to make the launcher of native programs with";
  }
  const { status, stderr } = await new Native(folder).run({ abi: "linux-6.18" }, "true");
  return status === 0 ? null : `native programs cannot be run with another vDSO here: ${stderr.trim()}`;
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

  async #run(
    { offsets, mode = "tsc", ahead = 0, stopped }: NativeOptions,
    abi: VvarAbi,
    fd: number,
    args: string[],
  ): Promise<NativeRun> {
    const slot = (page: VvarPage) => fileStore(fd, abi.pages.indexOf(page) * PAGE);
    // In a namespace its page stands where the real one is otherwise.
    if (offsets !== undefined) fillNamespacePage(slot("time"), abi, offsets);
    const page = new TimePage(slot(offsets === undefined ? "time" : "timens"), abi);
    const pvclock = new PvclockPage(slot("pvclock"));
    const show = (reading: TimeReading): void => {
      const pv = mode === "pvclock" ? asPvclock(reading) : null;
      if (pv !== null) pvclock.update(pv.info);
      page.update(pv?.reading ?? reading);
    };
    const child = spawn(this.#launch, stopped === undefined ? args : ["-s", ...args], {
      stdio: ["ignore", "pipe", "pipe", "pipe", "pipe"],
    });
    const [, , , readings, go] = child.stdio as unknown as [
      null,
      null,
      null,
      NodeJS.ReadableStream,
      NodeJS.WritableStream,
    ];
    let begun = false;
    const lines = createInterface({ input: readings });
    const shown = new Promise<void>((resolve, reject) => {
      lines.on("close", resolve).on("line", (line) => {
        try {
          const reading = readingOf(line, mode === "none" ? ClockMode.None : ClockMode.Tsc);
          show({ ...reading, realtime: { ...reading.realtime, sec: reading.realtime.sec + ahead } });
        } catch (error) {
          // Thrown from here it would keep the stream from closing.
          reject(error);
        }
        if (begun) return;
        begun = true;
        go.write("g");
      });
    });
    child.stderr?.on("data", (text: string) => {
      const pid = /^stopped (\d+)$/m.exec(text)?.[1];
      if (pid !== undefined) stopped?.(Number(pid));
    });
    const [run] = await Promise.all([ended(child), shown]);
    return run;
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
