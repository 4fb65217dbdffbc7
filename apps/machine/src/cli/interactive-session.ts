import { withAgent } from "../exec/agent-archive.js";
import { WindowSize } from "../exec/window-size.js";
import type { VirtualMachine } from "../virtual-machine.js";
import { ESCAPE_HELP, EscapeKey } from "./escape.js";
import { Outlet } from "./outlet.js";
import { PromptWatch } from "./prompt-watch.js";
import { saveFault, saveMachine } from "./save-machine.js";
import type { Session } from "./session.js";
import { takeKeyboard } from "./terminal.js";

/** The byte of Ctrl-C. */
const INTERRUPT = 3;

export interface InteractiveOptions {
  /** Called for Ctrl-C on a terminal; without it that key is the guest's. */
  readonly onInterrupt?: () => void;
}

/** The user sits at the guest's serial line. */
export function interactiveSession({ onInterrupt }: InteractiveOptions = {}): Session {
  const { stdout } = process;
  // A terminal that does not know its size says 0.
  const { columns, rows } = stdout.isTTY ? stdout : { columns: 0, rows: 0 };
  const sized = columns > 0 && rows > 0;
  let restore = (): void => undefined;
  let outlet: Outlet | null = null;
  let prompt: PromptWatch | null = null;
  let ready: (() => Promise<void>) | null = null;
  return {
    words: (own) => (sized ? `vm.cols=${columns} vm.rows=${rows} ${own}` : own),
    // Our ram disk starts the agent that follows the window; in another one the file lies there, and nothing happens.
    initrd: (own) => (sized && own !== undefined ? withAgent(own) : own),
    attach: (machine) => {
      const keys = new EscapeKey();
      const terminal = process.stdin.isTTY === true;
      const output = new Outlet(process.stdout, () => machine.console.hold());
      outlet = output;
      const { agents } = machine as VirtualMachine;
      machine.console.onOutput((bytes) => output.write(bytes));
      const window = new WindowSize(
        (bytes) => machine.auxiliary.send(bytes),
        () => stdout,
        () => performance.now(),
        agents.window(),
      );
      if (ready !== null) prompt = new PromptWatch(machine, ready);
      const save = (): void => {
        const tell = (text: string): void => void output.write(`\r\n[${text}]\r\n`);
        const folder = `snapshot-${new Date().toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-")}`;
        saveMachine(machine, folder).then(
          (said) => tell(`${said}; vm boot --snapshot ${folder}`),
          (error: unknown) => tell(`not saved: ${saveFault(error)}`),
        );
      };
      const resized = (): void => window.tell();
      if (sized && agents.saved === null) {
        agents.window = () => window.present;
        window.tell();
        machine.auxiliary.listen((byte) => window.push(byte));
        stdout.on("resize", resized);
      }
      const restoreKeyboard = takeKeyboard({
        type: (bytes) => {
          window.typed();
          prompt?.end();
          if (!terminal) {
            machine.console.write(bytes);
            return;
          }
          if (onInterrupt !== undefined && bytes.includes(INTERRUPT)) onInterrupt();
          const { input, actions } = keys.push(bytes);
          if (input.length > 0) machine.console.write(input);
          for (const action of actions) {
            if (action === "quit") machine.stop();
            else if (action === "save") save();
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
      // The prompt of a guest that was saved while it waited.
      if (machine.console.line.length > 0) output.write(machine.console.line);
    },
    whenReady: (act) => {
      ready = act;
    },
    restore: () => restore(),
    detach: async () => {
      prompt?.end();
      restore();
      await outlet?.flushed();
    },
    status: () => null,
  };
}
