import { withAgent } from "../exec/agent-archive.js";
import { WindowSize } from "../exec/window-size.js";
import { ESCAPE_HELP, EscapeKey } from "./escape.js";
import { Outlet } from "./outlet.js";
import type { Session } from "./session.js";
import { takeKeyboard } from "./terminal.js";

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
