import type { Machine, MachineExit } from "../index.js";
import { DiskErrors } from "./disk-errors.js";
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
  const stop = (status: number): void => {
    interrupted ??= status;
    machine.stop();
  };
  const timer = timeout === null ? undefined : setTimeout(() => stop(ExitCode.Timeout), timeLeft(began, timeout));
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
  if (timeout !== null && interrupted === ExitCode.Timeout) say(timedOut(timeout));
  const status = interrupted ?? report(exit);
  if (run.statistics) process.stderr.write(`${JSON.stringify(machine.stats())}\n`);
  return status;
}
