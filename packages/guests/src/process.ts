import { spawn } from "node:child_process";

/** A finished process: its exit status (null: killed by a signal) and what it wrote. */
export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a process. */
export interface RunOptions {
  readonly cwd?: string;
  /** Variables besides those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Receives each line of its standard output. */
  readonly onLine?: (line: string) => void;
  /** Receives each line the process writes to its descriptor 3. */
  readonly onStatus?: (line: string) => void;
}

/**
 * Runs a program without a shell, in the C locale, with no standard input.
 *
 * @throws the `spawn` error (ENOENT) when the program does not exist; a non-zero status is returned, not thrown.
 */
export function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: options.cwd,
      env: { ...process.env, PATH: `${process.env.PATH ?? ""}:/usr/sbin:/sbin`, LC_ALL: "C", ...options.env },
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    const lines = eachLine((line) => options.onLine?.(line));
    const statusLines = eachLine((line) => options.onStatus?.(line));
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      lines(text);
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.stdio[3]?.on("data", (chunk: Buffer) => statusLines(chunk.toString("utf8")));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}

/** Cuts a stream of text into lines. */
function eachLine(onLine: (line: string) => void): (text: string) => void {
  let partial = "";
  return (text) => {
    const lines = (partial + text).split("\n");
    partial = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  };
}

/** Whether a program can be started at all. */
export async function exists(program: string): Promise<boolean> {
  return run(program, ["--version"]).then(
    () => true,
    () => false,
  );
}
