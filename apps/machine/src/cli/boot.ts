import { readFileSync } from "node:fs";
import { BootError, createMachine, KernelError, type Machine, MachineError } from "../index.js";
import { reason, UsageError } from "./errors.js";
import { ExitCode } from "./exit-code.js";
import { type FileDisk, openDisk } from "./file-disk.js";
import { type BootFlags, type BootNumbers, parseFlags } from "./flags.js";
import { collectGarbage } from "./garbage.js";
import { Progress } from "./progress.js";
import { report, say } from "./report.js";
import { chooseSession, type Session } from "./session.js";
import { usage } from "./usage.js";

const BUILTIN_NOTE = "booting the built-in guest; --kernel VMLINUZ and --initrd INITRAMFS boot a Linux of your own";
/** How shells report an end by SIGPIPE. */
const SIGPIPE_STATUS = 141;

/** `vm boot`: returns the status of the program. @throws {UsageError} before anything has started */
export async function boot(flags: BootFlags): Promise<number> {
  const began = performance.now();
  const numbers = parseFlags(flags);
  const session = chooseSession(flags);
  const images = {
    kernel: flags.kernel === undefined ? undefined : readFile("--kernel", flags.kernel),
    initrd: flags.initrd === undefined ? undefined : readFile("--initrd", flags.initrd),
  };
  const disks: FileDisk[] = [];
  try {
    for (const argument of flags.disk ?? []) disks.push(openDisk(argument));
    const machine = await makeMachine(flags, numbers, session, { ...images, disks });
    images.kernel = images.initrd = undefined;
    collectGarbage();
    if (flags.kernel === undefined && flags.exec === undefined) say(BUILTIN_NOTE);
    const deadline = numbers.timeout === null ? null : began + numbers.timeout * 1000;
    return await runMachine(machine, session, flags, deadline);
  } finally {
    for (const disk of disks) disk.close();
  }
}

interface Parts {
  readonly kernel: Uint8Array | undefined;
  readonly initrd: Uint8Array | undefined;
  readonly disks: readonly FileDisk[];
}

async function makeMachine(flags: BootFlags, numbers: BootNumbers, session: Session, parts: Parts): Promise<Machine> {
  const progress = new Progress("loading the kernel", { busy: parts.kernel !== undefined });
  const commandLine = [session.words, flags.append ?? ""].join(" ").trim();
  const { memory, cpus } = numbers;
  try {
    return await createMachine({ ...parts, commandLine, memory, cpus, clock: flags.clock, hostUsage: usage });
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(`--kernel ${flags.kernel}: ${error.message}`);
    if (error instanceof BootError || error instanceof MachineError) throw new UsageError(error.message);
    throw error;
  } finally {
    progress.end();
  }
}

/** @param deadline time of `performance.now()` at which the machine is stopped */
async function runMachine(
  machine: Machine,
  session: Session,
  flags: BootFlags,
  deadline: number | null,
): Promise<number> {
  let interrupted: number | null = null;
  const stop = (status: number): void => {
    interrupted ??= status;
    machine.stop();
  };
  const timer =
    deadline === null ? undefined : setTimeout(() => stop(ExitCode.Timeout), Math.max(0, deadline - performance.now()));
  process.stdout.on("error", () => stop(SIGPIPE_STATUS));
  machine.events.on("disk-error", (error) => say(`disk error: ${reason(error)}`));
  session.attach(machine);
  const exit = await machine.run().finally(() => {
    clearTimeout(timer);
    session.detach();
  });
  if (interrupted === ExitCode.Timeout) say(`timed out after ${flags.timeout} s`);
  const command = flags.exec !== undefined;
  const status = interrupted ?? report(machine, exit, session.status(exit), command, flags.verbose === true);
  if (flags.stats) process.stderr.write(`${JSON.stringify(machine.stats())}\n`);
  return status;
}

function readFile(flag: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${flag} ${path}: ${reason(error)}`);
  }
}
