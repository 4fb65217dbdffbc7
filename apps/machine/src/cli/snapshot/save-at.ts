import type { Machine } from "../../index.js";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import type { BootFlags } from "../flags.js";
import { say } from "../report.js";
import { saveFault, saveMachine } from "../save-machine.js";
import type { Session } from "../session.js";

/** When a machine is saved, and where. */
interface SavePoint {
  /** Instructions that its processors have retired, all together; or when the guest is ready for its user. */
  readonly at: number | "ready";
  readonly folder: string;
}

/** What `--snapshot-at` says. @throws {UsageError} */
function parseSavePoint(text: string): SavePoint {
  const [, when = "", folder = ""] = /^(\d{1,15}|ready):(.+)$/s.exec(text) ?? [];
  if (folder === "")
    throw new UsageError(
      `--snapshot-at ${text}: expected a number of instructions or "ready", and a folder, as in ready:booted`,
    );
  return { at: when === "ready" ? when : Number(when), folder };
}

/** A session whose machine is saved at a point. */
export interface SavingSession extends Session {
  /** To be called when the machine has ended: says what came of it. @returns the status of the program, `status` if all went well */
  ended(status: number): Promise<number>;
}

/** The session with what `--snapshot-at` asks for; null if it asks for nothing. @param repeats runs repeat exactly @throws {UsageError} */
export function savingOf(
  { snapshotAt, stopAfterSnapshot }: Pick<BootFlags, "snapshotAt" | "stopAfterSnapshot">,
  session: Session,
  repeats: boolean,
): SavingSession | null {
  if (snapshotAt !== undefined)
    return savingSession(session, parseSavePoint(snapshotAt), { stop: stopAfterSnapshot === true, repeats });
  if (stopAfterSnapshot) throw new UsageError("--stop-after-snapshot needs --snapshot-at");
  return null;
}

interface SavingOptions {
  /** Stops the machine once it is saved. */
  readonly stop: boolean;
  /** Runs repeat exactly. */
  readonly repeats: boolean;
}

/** @throws {UsageError} if nobody can tell when the guest is ready */
function savingSession(session: Session, { at, folder }: SavePoint, { stop, repeats }: SavingOptions): SavingSession {
  const where = `--snapshot-at ${at}:${folder}`;
  let saving: Promise<string> | null = null;
  let machine: Machine | null = null;
  const save = (): Promise<void> => {
    saving = saveMachine(machine as Machine, folder, { at: at === "ready" ? 0 : at, stop });
    // What comes of it is told at the end: the terminal is the guest's until then.
    return saving.then(
      () => undefined,
      () => undefined,
    );
  };
  if (at === "ready") {
    const why = repeats ? "with --clock icount" : session.whenReady === undefined ? "of this guest" : null;
    if (why !== null || session.whenReady === undefined)
      throw new UsageError(`${where}: ${why} nobody can tell when it is ready; expected a number of instructions`);
    session.whenReady(save);
  }
  return {
    ...session,
    attach: async (own) => {
      machine = own;
      await session.attach(own);
      if (at !== "ready") void save();
    },
    ended: async (status) => {
      try {
        if (saving === null) {
          say(`${where}: the machine has ended before its guest was ready`);
          return ExitCode.Usage;
        }
        say(await saving);
        // It was ended because it is saved, whatever it was about.
        return stop ? ExitCode.Ok : status;
      } catch (error) {
        say(`${where}: ${saveFault(error)}`);
        return ExitCode.Usage;
      }
    },
  };
}
