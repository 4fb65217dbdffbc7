import { basename } from "node:path";
import { BootError, createBareMachine, KernelError, type Machine, MachineError } from "../index.js";
import { UsageError } from "./errors.js";
import { ExitCode } from "./exit-code.js";
import { type BareFlags, type MachineNumbers, parseNumbers } from "./flags.js";
import { readFile } from "./read-file.js";
import { reportBare } from "./report.js";
import { runMachine } from "./run-machine.js";
import { interactiveSession } from "./session.js";
import { usage } from "./usage.js";

/** `vm run-bare`: returns the status of the program. @throws {UsageError} before anything has started */
export async function runBare(path: string, flags: BareFlags): Promise<number> {
  const began = performance.now();
  const { timeout, ...size } = parseNumbers(flags);
  const machine = await makeMachine(path, flags, size);
  let interrupt = (): void => undefined;
  const session = interactiveSession(() => interrupt());
  const onStart = (stop: (status: number) => void): void => {
    interrupt = () => stop(ExitCode.Interrupted);
  };
  return runMachine({ machine, session, began, timeout, statistics: flags.stats === true, onStart }, (exit) =>
    reportBare(machine, exit),
  );
}

async function makeMachine(path: string, flags: BareFlags, size: Omit<MachineNumbers, "timeout">): Promise<Machine> {
  const image = readFile("", path);
  const module =
    flags.module === undefined
      ? undefined
      : { name: basename(flags.module), bytes: readFile("--module", flags.module) };
  const { append: commandLine, clock } = flags;
  try {
    return await createBareMachine({
      image,
      name: basename(path),
      commandLine,
      module,
      clock,
      ...size,
      hostUsage: usage,
    });
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(`${path}: ${error.message}`);
    if (error instanceof BootError || error instanceof MachineError) throw new UsageError(error.message);
    throw error;
  }
}
