import { spawn } from "node:child_process";

/** A finished process: its exit status (null: killed by a signal) and what it wrote. */
export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a process. `onStatus` receives each line the process writes to its descriptor 3. */
export interface RunOptions {
  readonly cwd?: string;
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
      env: { ...process.env, LC_ALL: "C" },
      stdio: ["ignore", "pipe", "pipe", "pipe"],
    });
    let stdout = "";
    let stderr = "";
    let partial = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.stdio[3]?.on("data", (chunk: Buffer) => {
      const lines = (partial + chunk.toString("utf8")).split("\n");
      partial = lines.pop() ?? "";
      for (const line of lines) options.onStatus?.(line);
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}

/** Whether a program can be started at all. */
export async function exists(program: string): Promise<boolean> {
  return run(program, ["--version"]).then(
    () => true,
    () => false,
  );
}
