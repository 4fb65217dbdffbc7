import type { Machine, MachineExit } from "../index.js";
import { DiskErrors } from "./disk-errors.js";
import { ExitCode } from "./exit-code.js";
import { say } from "./report.js";
import type { Session } from "./session.js";

export interface Run {
  readonly machine: Machine;
  readonly session: Session;
  /** Time of `performance.now()` from which the time-out counts. */
  readonly began: number;
  /** Seconds, or null for no limit. */
  readonly timeout: number | null;
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
  const stop = (status: number): void => {
    interrupted ??= status;
    machine.stop();
  };
  const timer =
    timeout === null
      ? undefined
      : setTimeout(() => stop(ExitCode.Timeout), Math.max(0, began + timeout * 1000 - performance.now()));
  process.stdout.on("error", () => stop(ExitCode.BrokenPipe));
  const diskErrors = new DiskErrors(say);
  machine.events.on("disk-error", (error) => diskErrors.add(error));
  run.onStart?.(stop);
  session.attach(machine);
  const exit = await machine.run().finally(() => {
    clearTimeout(timer);
    session.detach();
  });
  diskErrors.end();
  if (interrupted === ExitCode.Timeout) say(`timed out after ${timeout} s`);
  const status = interrupted ?? report(exit);
  if (run.statistics) process.stderr.write(`${JSON.stringify(machine.stats())}\n`);
  return status;
}
