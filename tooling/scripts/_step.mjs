// Steps of the tooling: silent while they are quick, a line of progress once they are not, all their output when they fail.
import { spawn } from "node:child_process";
import { root } from "./_paths.mjs";

const SILENT_MS = 1000;
const TICK_MS = 500;
const tty = process.stderr.isTTY === true;

/** A step that failed; what it wrote has been shown already. */
export class StepError extends Error {
  constructor(name, status) {
    super(`${name} failed`);
    this.name = "StepError";
    this.status = status;
  }
}

/**
 * Shows `name` on stderr once it has taken a second: on a terminal one line with the seconds that is cleared at the end,
 * elsewhere a line when it turns slow. Returns a function that sets a detail, and one that ends it.
 */
export function progress(name) {
  const began = Date.now();
  let detail = "";
  let shown = false;
  const paint = () => {
    if (tty)
      process.stderr.write(`\r\x1b[K${detail || name} \x1b[2m${Math.round((Date.now() - began) / 1000)} s\x1b[0m`);
    else if (!shown) process.stderr.write(`${name} ...\n`);
    shown = true;
  };
  const timer = setInterval(() => {
    if (Date.now() - began >= SILENT_MS && (tty || !shown)) paint();
  }, TICK_MS);
  return {
    detail(text) {
      if (!tty && text !== detail && shown) process.stderr.write(`${text}\n`);
      detail = text;
    },
    end() {
      clearInterval(timer);
      if (tty && shown) process.stderr.write("\r\x1b[K");
    },
  };
}

/** Runs a program as a step. @throws StepError with its status, after writing its output to stderr. */
export async function step(name, program, args, { env = {}, cwd = root } = {}) {
  const bar = progress(name);
  const finished = await capture(program, args, { env, cwd });
  bar.end();
  if (finished.status !== 0) {
    process.stderr.write(finished.output);
    throw new StepError(name, finished.status);
  }
  return finished.output;
}

/** Runs a program with its output kept; a status other than 0 is returned, not thrown. */
export function capture(program, args, { env = {}, cwd = root } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => {
        output += text;
      });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status: status ?? 1, output }));
  });
}

/**
 * Hands the terminal to a program until it ends, and ends this process as it ended: same status, or same signal.
 * Signals from outside are passed on; those of the terminal reach the program by themselves.
 */
export function become(program, args, env = {}) {
  const child = spawn(program, args, { stdio: "inherit", env: { ...process.env, ...env } });
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  // Ctrl-C at a terminal goes to the whole foreground group: passed on, it would arrive twice.
  for (const signal of ["SIGINT", "SIGQUIT"])
    process.on(signal, () => {
      if (!process.stdin.isTTY) child.kill(signal);
    });
  child.on("error", (error) => {
    process.stderr.write(`${program}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (status, signal) => {
    if (signal === null) process.exit(status ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

/** Runs a script's body; a failed step ends it with status 1 and one sentence, anything else is a bug and shows its stack. */
export async function main(body) {
  try {
    await body();
  } catch (error) {
    if (!(error instanceof StepError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
