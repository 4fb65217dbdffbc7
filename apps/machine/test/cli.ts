import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The program as built. */
export const CLI = fileURLToPath(new URL("../dist/cli.js", import.meta.url));

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that is running; its output so far, and waiting for more of it. */
export class Running {
  stdout = "";
  stderr = "";
  readonly process: ChildProcessWithoutNullStreams;
  readonly ended: Promise<Ended>;
  readonly #checks = new Set<() => void>();
  /** Whether all that was written has been read as well: it ended before that. */
  #closed = false;

  /** @param cwd the folder it runs in; ours by default */
  constructor(program: string, args: readonly string[], cwd?: string) {
    this.process = spawn(program, args, { stdio: "pipe", cwd });
    for (const name of ["stdout", "stderr"] as const) {
      this.process[name].setEncoding("utf8").on("data", (text: string) => {
        this[name] += text;
        for (const check of this.#checks) check();
      });
    }
    this.process.stdin.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      this.process.on("close", (status, signal) => {
        this.#closed = true;
        resolve({ status, signal, stdout: this.stdout, stderr: this.stderr });
        for (const check of this.#checks) check();
      });
    });
  }

  /** Resolves with the text on stdout behind `from` once `mark` is there. @throws if the program ends before */
  async until(mark: string | RegExp, from = 0): Promise<string> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        const text = this.stdout.slice(from);
        const found = typeof mark === "string" ? text.indexOf(mark) : text.search(mark);
        if (found < 0 && !this.#closed) return;
        this.#checks.delete(check);
        if (found < 0) reject(new Error(`ended before ${mark}: ${this.stdout.slice(-2000)}${this.stderr}`));
        else resolve(text);
      };
      this.#checks.add(check);
      check();
    });
  }

  /** Types `keys`. */
  type(keys: string): void {
    this.process.stdin.write(keys);
  }
}

export const vm = (...args: string[]): Running => new Running(process.execPath, [CLI, ...args]);

/** Runs the program to its end, with nothing on stdin. */
export function run(...args: string[]): Promise<Ended> {
  const running = vm(...args);
  running.process.stdin.end();
  return running.ended;
}

const quote = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

/**
 * The program on a terminal of its own, of 31 rows and 97 columns: util-linux's script(1) makes a pty. The program's process id is
 * printed first; `after` is a shell command for the same terminal.
 */
export function onTerminal(args: readonly string[], after = "true"): Running {
  const program = [process.execPath, CLI, ...args].map(quote).join(" ");
  const inner = `echo "pid $$"; exec ${program}`;
  const command = `stty rows 31 cols 97; sh -c ${quote(inner)}; status=$?; ${after}; exit $status`;
  return new Running("script", ["-qefc", command, "/dev/null"]);
}
