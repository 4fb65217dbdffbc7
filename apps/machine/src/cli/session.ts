import { withAgent } from "../exec/agent-archive.js";
import { WindowSize } from "../exec/window-size.js";
import type { Machine, MachineExit } from "../index.js";
import { UsageError } from "./errors.js";
import { ESCAPE_HELP, EscapeKey } from "./escape.js";
import { execSession } from "./exec-session.js";
import type { BootFlags } from "./flags.js";
import { Outlet } from "./outlet.js";
import { takeKeyboard } from "./terminal.js";

/** What the program does with the guest's console while the machine runs. */
export interface Session {
  /** The words for the kernel command line, made of the user's. */
  words(own: string): string;
  /** The initial ram disk to boot with, made of the user's. */
  initrd?(own: Uint8Array | undefined): Uint8Array | undefined;
  /** Takes the machine's console, and what else it needs; resolves when the machine can run. */
  attach(machine: Machine): void | Promise<void>;
  /** Takes a Ctrl-C from outside for itself. False: the program is to end. */
  interrupt?(): boolean;
  /** Puts the terminal back. Safe at any time, also twice. */
  restore?(): void;
  /** Lets go of the terminal; resolves when what was held back has been passed on. */
  detach(): void | Promise<void>;
  /** Status of the guest's command; null if it never told, or if there is no command. */
  status(exit: MachineExit): number | null;
  /** Why there is no status, as far as is known: half a sentence. */
  why?(): string | null;
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
  const { stdout } = process;
  // A terminal that does not know its size says 0.
  const { columns, rows } = stdout.isTTY ? stdout : { columns: 0, rows: 0 };
  const sized = columns > 0 && rows > 0;
  let restore = (): void => undefined;
  let outlet: Outlet | null = null;
  return {
    words: (own) => (sized ? `vm.cols=${columns} vm.rows=${rows} ${own}` : own),
    // Our ram disk starts the agent that follows the window; in another one the file lies there, and nothing happens.
    initrd: (own) => (sized && own !== undefined ? withAgent(own) : own),
    attach: (machine) => {
      const keys = new EscapeKey();
      const terminal = process.stdin.isTTY === true;
      const output = new Outlet(process.stdout, () => machine.console.hold());
      outlet = output;
      machine.console.onOutput((bytes) => output.write(bytes));
      const window = new WindowSize(
        (bytes) => machine.auxiliary.send(bytes),
        () => stdout,
        () => performance.now(),
      );
      const resized = (): void => window.tell();
      if (sized) {
        machine.auxiliary.listen((byte) => window.push(byte));
        stdout.on("resize", resized);
      }
      const restoreKeyboard = takeKeyboard({
        type: (bytes) => {
          window.typed();
          if (!terminal) {
            machine.console.write(bytes);
            return;
          }
          if (onInterrupt !== undefined && bytes.includes(INTERRUPT)) onInterrupt();
          const { input, actions } = keys.push(bytes);
          if (input.length > 0) machine.console.write(input);
          for (const action of actions) {
            if (action === "quit") machine.stop();
            else output.write(`\r\n${ESCAPE_HELP}`);
          }
        },
        hungry: () => machine.console.hungry(),
      });
      restore = () => {
        stdout.off("resize", resized);
        restoreKeyboard();
      };
      if (terminal) process.stderr.write(`${onInterrupt ? "Ctrl-C or " : ""}Ctrl-A x quits, Ctrl-A h helps\r\n`);
    },
    restore: () => restore(),
    detach: async () => {
      restore();
      await outlet?.flushed();
    },
    status: () => null,
  };
}

/** One command of the built-in guest, which writes nothing but the command's output. */
function builtinExecSession(command: string): Session {
  if (/["\r\n]/.test(command)) throw new UsageError("--exec: the built-in guest takes one line without double quotes");
  let outlet: Outlet | null = null;
  return {
    words: (own) => `exec="${command}" ${own}`,
    attach: (machine) => {
      const output = new Outlet(process.stdout, () => machine.console.hold());
      outlet = output;
      machine.console.onOutput((bytes) => output.write(bytes.filter((byte) => byte !== 13)));
    },
    detach: () => outlet?.flushed(),
    status: (exit) => (exit.reason === "power-off" ? exit.status : null),
  };
}
