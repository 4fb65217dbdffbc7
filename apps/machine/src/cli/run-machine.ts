import type { Machine, MachineExit } from "../index.js";
import { DiskErrors } from "./disk-errors.js";
import { onEndingSignals } from "./ending.js";
import { ExitCode } from "./exit-code.js";
import { say } from "./report.js";
import type { Session } from "./session.js";
import { type TimeLimit, timedOut, timeLeft } from "./within-time.js";

export interface Run extends TimeLimit {
  readonly machine: Machine;
  readonly session: Session;
  /** Print statistics at the end. */
  readonly statistics: boolean;
  /** Given the function that ends the machine with a status of the program's own. */
  readonly onStart?: (stop: (status: number) => void) => void;
}

/**
 * Runs a machine to its end, with its console in the hands of `session`.
 * @param report tells how the machine ended and gives the status of the program, unless the program ended it
 * @returns the status of the program
 */
export async function runMachine(run: Run, report: (exit: MachineExit) => number): Promise<number> {
  const { machine, session, began, timeout } = run;
  let interrupted: number | null = null;
  let giveUp = (): void => undefined;
  const givenUp = new Promise<void>((resolve) => {
    giveUp = resolve;
  });
  const stop = (status: number): void => {
    interrupted ??= status;
    machine.stop();
    giveUp();
  };
  const timer = timeout === null ? undefined : setTimeout(() => stop(ExitCode.Timeout), timeLeft(began, timeout));
  process.stdout.on("error", () => stop(ExitCode.BrokenPipe));
  process.stderr.on("error", () => stop(ExitCode.BrokenPipe));
  const diskErrors = new DiskErrors(say);
  machine.events.on("disk-error", (error) => diskErrors.add(error));
  run.onStart?.(stop);
  const restore = (): void => session.restore?.();
  const release = onEndingSignals((signal) => {
    if (signal === "SIGINT" && session.interrupt?.() === true) return true;
    restore();
    stop(ExitCode.Interrupted);
    return false;
  }, restore);
  await Promise.race([session.attach(machine), givenUp]);
  const exit = await machine.run();
  // A reader that does not read holds up the end, but not that of the time-out or a signal.
  await Promise.race([session.detach(), givenUp]);
  clearTimeout(timer);
  release();
  diskErrors.end();
  if (timeout !== null && interrupted === ExitCode.Timeout) say(timedOut(timeout));
  const status = interrupted ?? report(exit);
  if (run.statistics) process.stderr.write(`${JSON.stringify(machine.stats())}\n`);
  return status;
}
