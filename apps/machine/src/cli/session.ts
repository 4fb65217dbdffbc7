import { createHash, randomBytes } from "node:crypto";
import type { Machine, MachineExit } from "../index.js";
import { UsageError } from "./errors.js";
import { ESCAPE_HELP, EscapeKey } from "./escape.js";
import { ExecFrame } from "./exec-frame.js";
import type { BootFlags } from "./flags.js";
import { PrintableLog } from "./printable.js";
import { Progress } from "./progress.js";
import { restoreOnSignals, takeKeyboard } from "./terminal.js";

/** What the program does with the guest's console while the machine runs. */
export interface Session {
  /** Words for the kernel command line. */
  readonly words: string;
  attach(machine: Machine): void;
  /** Lets go of the terminal and passes on what was held back. */
  detach(): void;
  /** Status of the guest's command; null if it never told, or if there is no command. */
  status(exit: MachineExit): number | null;
}

/** The session that the flags ask for. @throws {UsageError} for a command that cannot be handed over */
export function chooseSession(flags: BootFlags): Session {
  if (flags.exec === undefined) return interactiveSession();
  return flags.kernel === undefined ? builtinExecSession(flags.exec) : execSession(flags.exec, flags);
}

/** The byte of Ctrl-C. */
const INTERRUPT = 3;

/**
 * The user sits at the guest's serial line.
 * @param onInterrupt called for Ctrl-C on a terminal; without it that key is the guest's
 */
export function interactiveSession(onInterrupt?: () => void): Session {
  // A terminal that does not know its size says 0.
  const { columns, rows } = process.stdout.isTTY ? process.stdout : { columns: 0, rows: 0 };
  let detach = (): void => undefined;
  return {
    words: columns > 0 && rows > 0 ? `vm.cols=${columns} vm.rows=${rows}` : "",
    attach: (machine) => {
      const keys = new EscapeKey();
      const terminal = process.stdin.isTTY === true;
      machine.console.onOutput((bytes) => void process.stdout.write(bytes));
      const restore = takeKeyboard((bytes) => {
        if (!terminal) {
          machine.console.write(bytes);
          return;
        }
        if (onInterrupt !== undefined && bytes.includes(INTERRUPT)) onInterrupt();
        const { input, actions } = keys.push(bytes);
        if (input.length > 0) machine.console.write(input);
        for (const action of actions) {
          if (action === "quit") machine.stop();
          else process.stdout.write(`\r\n${ESCAPE_HELP}`);
        }
      });
      const release = restoreOnSignals(restore);
      if (terminal) process.stderr.write(`${onInterrupt ? "Ctrl-C or " : ""}Ctrl-A x quits, Ctrl-A h helps\r\n`);
      detach = () => {
        release();
        restore();
      };
    },
    detach: () => detach(),
    status: () => null,
  };
}

/** One command in a guest whose /init knows `vm.exec` (README of the guests). */
function execSession(command: string, { clock, verbose }: BootFlags): Session {
  // A reproducible run needs a reproducible nonce; no command holds its own hash by accident.
  const nonce =
    clock === "icount"
      ? createHash("sha256").update(command).digest("hex").slice(0, 16)
      : randomBytes(8).toString("hex");
  // A log for a person to read, unlike an interactive console, which is the guest's terminal.
  const shown = new PrintableLog((text) => void process.stderr.write(text));
  const log = (bytes: Uint8Array): void => {
    if (verbose) shown.push(bytes);
  };
  const frame = new ExecFrame(nonce, log, (bytes) => void process.stdout.write(bytes));
  let progress: Progress | null = null;
  return {
    words: `vm.exec=${Buffer.from(command).toString("base64url")} vm.nonce=${nonce}`,
    attach: (machine) => {
      if (!verbose) progress = new Progress("booting");
      machine.console.onOutput((bytes) => {
        // The line goes before the command's first byte comes.
        if (bytes.includes(1)) progress?.end();
        frame.push(bytes);
      });
    },
    detach: () => {
      progress?.end();
      frame.finish();
    },
    status: () => frame.status,
  };
}

/** One command of the built-in guest, which writes nothing but the command's output. */
function builtinExecSession(command: string): Session {
  if (/["\r\n]/.test(command)) throw new UsageError("--exec: the built-in guest takes one line without double quotes");
  return {
    words: `exec="${command}"`,
    attach: (machine) => {
      machine.console.onOutput((bytes) => void process.stdout.write(bytes.filter((byte) => byte !== 13)));
    },
    detach: () => undefined,
    status: (exit) => (exit.reason === "power-off" ? exit.status : null),
  };
}
