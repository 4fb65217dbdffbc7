import { existsSync } from "node:fs";
import { basename } from "node:path";
import {
  BootError,
  type BootModule,
  createBareMachine,
  KernelError,
  MAX_LATE_MS,
  type Machine,
  MachineError,
  type Plugin,
} from "../index.js";
import { UsageError } from "./errors.js";
import { ExitCode } from "./exit-code.js";
import { type BareFlags, type MachineNumbers, parseNumbers } from "./flags.js";
import { interactiveSession } from "./interactive-session.js";
import { IMAGE_MAX, type ReadLimits, readFile } from "./read-file.js";
import { reportBare } from "./report.js";
import { runMachine } from "./run-machine.js";
import { usage } from "./usage.js";
import { withinTime } from "./within-time.js";

/**
 * `vm run-bare`: returns the status of the program.
 * @param plugins that look on
 * @throws {UsageError} before anything has started
 */
export async function runBare(path: string, flags: BareFlags, plugins: readonly Plugin[] = []): Promise<number> {
  const began = performance.now();
  const { timeout, ...size } = parseNumbers(flags);
  const machine = await withinTime({ began, timeout }, (signal) => makeMachine(path, flags, size, { plugins, signal }));
  let interrupt = (): void => undefined;
  const session = interactiveSession({ onInterrupt: () => interrupt() });
  const onStart = (stop: (status: number) => void): void => {
    interrupt = () => stop(ExitCode.Interrupted);
  };
  return runMachine({ machine, session, began, timeout, statistics: flags.stats === true, onStart }, (exit) =>
    reportBare(machine, exit),
  );
}

async function makeMachine(
  path: string,
  flags: BareFlags,
  size: Omit<MachineNumbers, "timeout">,
  { plugins, signal }: { readonly plugins: readonly Plugin[]; readonly signal: AbortSignal },
): Promise<Machine> {
  const image = await readFile("", path, { most: IMAGE_MAX, signal });
  const modules: BootModule[] = [];
  for (const text of flags.module ?? []) modules.push(await readModule(text, { most: size.memory, signal }));
  const { append: commandLine, clock, engine } = flags;
  const lateMemoryMs = parseLateMemory(flags.lateMemory);
  try {
    return await createBareMachine({
      image,
      name: basename(path),
      commandLine,
      modules,
      clock,
      engine,
      lateMemoryMs,
      ...size,
      plugins,
      signal,
      hostUsage: usage,
    });
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(`${path}: ${error.message}`);
    if (error instanceof BootError || error instanceof MachineError) throw new UsageError(error.message);
    throw error;
  }
}

/** @throws {UsageError} */
function parseLateMemory(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,5}$/.test(text) || Number(text) > MAX_LATE_MS)
    throw new UsageError(`--late-memory ${text}: expected ms, 0 to ${MAX_LATE_MS}`);
  return Number(text);
}

/** A module as it is given: a file, and after a space the words that go with it. @throws {UsageError} */
async function readModule(text: string, limits: ReadLimits): Promise<BootModule> {
  const space = existsSync(text) ? -1 : text.indexOf(" ");
  const [path, words] = space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space)];
  return { bytes: await readFile("--module", path, limits), text: basename(path) + words };
}
