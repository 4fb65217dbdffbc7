import { createHash, randomBytes } from "node:crypto";
import { withAgent } from "../exec/agent-archive.js";
import type { ExecUser } from "../exec/agent-line.js";
import type { ExecAgent } from "../exec/exec-agent.js";
import { commandFault, rootWords, withAgentAsInit } from "../exec/exec-plan.js";
import type { Machine } from "../index.js";
import type { VirtualMachine } from "../virtual-machine.js";
import { BootWatch } from "./boot-watch.js";
import { type CommandInput, liveInput, readyInput, wholeInput } from "./command-input.js";
import { UsageError } from "./errors.js";
import type { BootFlags } from "./flags.js";
import { Outlet } from "./outlet.js";
import { PrintableLog } from "./printable.js";
import { Progress } from "./progress.js";
import type { Session } from "./session.js";

const SIGINT = 2;
/** A Ctrl-C goes to the command; another one so soon ends the program. */
const AGAIN_MS = 1000;
/** A guest that does nothing for so long, and has not started the command, waits for someone. */
const IDLE_SECONDS = 10;
/** Share of the time that a guest runs which only keeps its clock. It is the host's time, so that one on a busy host is not taken for idle. */
const IDLE_SHARE = 0.1;

/** What a session for a command is made of. */
export interface ExecSessionDesc extends Pick<BootFlags, "append" | "verbose" | "kvmi"> {
  /** Runs repeat exactly. */
  readonly repeats: boolean;
  /** The guest was saved: its agent is there, and runs this command or waits for one. */
  readonly saved?: boolean;
}

/** One command in a Linux guest that is booted for it. @throws {UsageError} for a command that cannot be handed over */
export const execSession = (command: string, flags: BootFlags): Session =>
  commandSession(command, { ...flags, repeats: flags.clock === "icount" });

/**
 * One command in a Linux guest. An agent goes with the initial ram disk, becomes the first program of whatever root the guest ends up in,
 * and talks to us over the second serial line; the console stays the kernel's.
 *
 * @throws {UsageError} for a command that cannot be handed over
 */
export function commandSession(command: string, { repeats, saved = false, ...flags }: ExecSessionDesc): Session {
  const fault = commandFault(command);
  if (fault !== null) throw new UsageError(`--exec: the command ${fault}`);
  // A run that repeats exactly must have the same tag each time.
  const tag = repeats ? createHash("sha256").update(command).digest().subarray(0, 8) : randomBytes(8);
  let agent: ExecAgent | null = null;
  let input: CommandInput | null = null;
  let outlets: Outlet[] = [];
  let progress: Progress | null = null;
  let watch: BootWatch | null = null;
  let idle: NodeJS.Timeout | undefined;
  let status: number | null = null;
  let interruptedAt = Number.NEGATIVE_INFINITY;
  let why: string | null = null;
  let ready: (() => Promise<void>) | null = null;
  return {
    words: withAgentAsInit,
    initrd: withAgent,
    attach: async (machine) => {
      const { agents } = machine as VirtualMachine;
      const known = agents.saved?.input ?? null;
      input = known !== null ? readyInput(known) : repeats ? await wholeInput() : liveInput();
      const source = input;
      const hold = holder(machine, repeats);
      const [output, errors] = [new Outlet(process.stdout, hold.line), new Outlet(process.stderr, hold.line)];
      const log = new Outlet(process.stderr, hold.console);
      // A log for a person to read, unlike an interactive console, which is the guest's terminal.
      const shown = new PrintableLog((text) => log.write(text));
      outlets = [output, errors, log];
      if (flags.verbose !== true) progress = new Progress(saved ? "restoring" : "booting");
      const over = (): void => {
        if (agent?.running !== true && status === null) machine.stop();
      };
      watch = new BootWatch(over);
      const seen = watch;
      const began = (): void => {
        progress?.end();
        clearInterval(idle);
      };
      const user: ExecUser = {
        next: () => {
          if (status !== null) return "leave";
          if (ready === null) return { command, input: true };
          const act = ready;
          ready = null;
          // The agent waits before anything is done: so it does in what is saved.
          void Promise.resolve()
            .then(act)
            .finally(() => agent?.wake());
          return "wait";
        },
        begin: began,
        output: (bytes) => output.write(bytes),
        errors: (bytes) => errors.write(bytes),
        ready: () => source.next((bytes) => agent?.input(bytes)),
        closed: () => source.close(),
        exit: (code) => {
          status = code;
          source.close();
        },
        fail: (reason) => {
          why = reason;
        },
        done: () => machine.stop(),
        rest: () => source.rest(),
      };
      const own = saved ? agents.resume(user) : agents.expect({ tag, root: rootWords(flags.append ?? "") }, user);
      agent = own;
      machine.console.onOutput((bytes) => {
        if (status === null && !own.running) seen.push(bytes);
        if (flags.verbose === true) shown.push(bytes);
      });
      if (saved) {
        if (own.running) began();
        own.takeUp();
        own.wake();
      } else if (!repeats && flags.kvmi === undefined) {
        idle = watchIdle(machine, () => {
          if (own.running || status !== null) return;
          why ??= seen.why ?? `it has done nothing for ${IDLE_SECONDS} s; its last words: ${seen.lastWords || "none"}`;
          machine.stop();
        });
      }
    },
    whenReady: (act) => {
      ready = act;
    },
    interrupt: () => {
      const hasty = performance.now() - interruptedAt < AGAIN_MS;
      interruptedAt = performance.now();
      return !hasty && agent?.kill(SIGINT) === true;
    },
    detach: async () => {
      clearInterval(idle);
      progress?.end();
      input?.close();
      await Promise.all(outlets.map((outlet) => outlet.flushed()));
    },
    status: () => status,
    why: () => why ?? watch?.why ?? null,
  };
}

/**
 * What makes the guest wait for a reader that is slow. In a run that repeats exactly it is the whole machine, whose time then stands
 * still: a transmitter that is busy or not would be a difference.
 */
function holder(machine: Machine, whole: boolean): { line: () => () => void; console: () => () => void } {
  if (!whole) return { line: () => machine.auxiliary.hold(), console: () => machine.console.hold() };
  let holds = 0;
  const hold = (): (() => void) => {
    if (holds++ === 0) void machine.pause();
    return () => {
      if (--holds === 0) machine.resume();
    };
  };
  return { line: hold, console: hold };
}

/** Calls `onIdle` once the guest has had nothing to do for {@link IDLE_SECONDS}. */
function watchIdle(machine: Machine, onIdle: () => void): NodeJS.Timeout {
  let ran = machine.executingMs;
  let looked = performance.now();
  let seconds = 0;
  return setInterval(() => {
    const now = performance.now();
    const idle = machine.executingMs - ran < IDLE_SHARE * (now - looked);
    seconds = idle ? seconds + 1 : 0;
    ran = machine.executingMs;
    looked = now;
    if (seconds === IDLE_SECONDS) onIdle();
  }, 1000);
}
