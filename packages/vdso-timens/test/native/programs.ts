import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Programs of others that print the monotonic clock and the time of day, each in a way of its own. */

/** What runs, and how to read what it prints. */
export interface ClockProgram {
  readonly name: string;
  /** What must be there to make and run it. */
  readonly needs: string;
  /** Makes what is to be run in `folder`. */
  readonly make: (folder: string) => readonly [string, ...string[]];
  /** Nanoseconds out of what it printed: monotonic, null if it does not tell, and time of day. */
  readonly read: (output: string) => { readonly monotonic: bigint | null; readonly realtime: bigint };
  /** How exactly it prints them, nanoseconds. */
  readonly exact: bigint;
  /** It asks by time(2), which needs no counter. */
  readonly byTime?: true;
}

const source = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const words = (output: string): bigint[] => output.trim().split(/\s+/).map(BigInt);
const both = (output: string) => {
  const [monotonic, realtime] = words(output);
  return { monotonic: monotonic as bigint, realtime: realtime as bigint };
};

export const PROGRAMS: readonly ClockProgram[] = [
  {
    name: "python3",
    needs: "python3",
    make: () => ["python3", "-c", "import time; print(time.monotonic_ns(), time.time_ns())"],
    read: both,
    exact: 0n,
  },
  {
    name: "node",
    needs: "node",
    make: () => ["node", "-e", "console.log(String(process.hrtime.bigint()), Date.now() + '000000')"],
    read: both,
    exact: 1_000_000n,
  },
  {
    name: "perl",
    needs: "perl",
    make: () => [
      "perl",
      "-MTime::HiRes=clock_gettime,CLOCK_MONOTONIC,CLOCK_REALTIME",
      "-e",
      'printf "%.0f %.0f\\n", 1e9 * clock_gettime(CLOCK_MONOTONIC), 1e9 * clock_gettime(CLOCK_REALTIME)',
    ],
    read: both,
    exact: 1000n,
  },
  {
    name: "busybox",
    needs: "busybox",
    make: () => ["busybox", "date", "+%s"],
    read: (output) => ({ monotonic: null, realtime: BigInt(output.trim()) * 1_000_000_000n }),
    exact: 1_000_000_000n,
    byTime: true,
  },
  {
    name: "a Go program",
    needs: "go",
    make: (folder) => {
      const tree = join(folder, "go");
      mkdirSync(tree, { recursive: true });
      copyFileSync(source("clocks.go"), join(tree, "main.go"));
      writeFileSync(join(tree, "go.mod"), "module clocks\n");
      // A function without a body needs assembly somewhere.
      writeFileSync(join(tree, "empty.s"), "");
      const env = { ...process.env, GOCACHE: join(folder, "go-cache"), GOFLAGS: "-mod=mod", CGO_ENABLED: "0" };
      execFileSync("go", ["build", "-o", join(folder, "go-clocks")], { cwd: tree, env });
      return [join(folder, "go-clocks")];
    },
    read: both,
    exact: 0n,
  },
];

/** Compiles a C program of this folder. @returns its path */
export function compile(folder: string, name: string, compiler = "cc", ...flags: readonly string[]): string {
  const program = join(
    folder,
    [name.replace(/\.c$/, ""), compiler, ...flags.map((flag) => flag.replace("-", ""))].join("."),
  );
  execFileSync(compiler, ["-O1", "-g", "-o", program, source(name), ...flags]);
  return program;
}

/** Whether a program can be started. */
export function has(program: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
