import type { Machine } from "../../index.js";
import { MachineError } from "../../index.js";
import { SnapshotError, saveSnapshot } from "../../node.js";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { say } from "../report.js";
import type { Session } from "../session.js";

/** When a machine is saved, and where. */
export interface SavePoint {
  /** Instructions that its processors have retired, all together. */
  readonly at: number;
  readonly folder: string;
}

/** What `--snapshot-at` says. @throws {UsageError} */
export function parseSavePoint(text: string): SavePoint {
  const [, number = "", folder = ""] = /^(\d{1,15}):(.+)$/s.exec(text) ?? [];
  if (folder === "")
    throw new UsageError(
      `--snapshot-at ${text}: expected a number of instructions and a folder, as in 500000000:booted`,
    );
  return { at: Number(number), folder };
}

/** A session whose machine is saved at a point. */
export interface SavingSession extends Session {
  /** To be called when the machine has ended: says what went wrong. @returns the status of the program, `status` if all went well */
  ended(status: number): Promise<number>;
}

/** @param stop stops the machine once it is saved */
export function savingSession(session: Session, { at, folder }: SavePoint, stop: boolean): SavingSession {
  let saving: Promise<void> = Promise.resolve();
  const save = async (machine: Machine): Promise<void> => {
    const snapshot = await machine.snapshot({ at, stop });
    const { storedBytes } = await saveSnapshot(folder, snapshot);
    say(`saved to ${folder}, ${(storedBytes / 1e6).toFixed(1)} MB`);
  };
  return {
    ...session,
    attach: async (machine) => {
      await session.attach(machine);
      saving = save(machine);
      // What goes wrong is told at the end.
      saving.catch(() => undefined);
    },
    ended: async (status) => {
      try {
        await saving;
        return status;
      } catch (error) {
        if (!(error instanceof SnapshotError || error instanceof MachineError)) throw error;
        say(`--snapshot-at ${at}:${folder}: ${error.message}`);
        return ExitCode.Usage;
      }
    },
  };
}
