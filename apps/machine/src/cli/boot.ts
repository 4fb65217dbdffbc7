import type { Series } from "@vm/guests";
import { Lockdep } from "@vm/lockdep";
import type { Disk } from "../disk/disk.js";
import { BootError, createMachine, KernelError, type Machine, MachineError, type Plugin } from "../index.js";
import { bpfPlugins } from "./bpf/machine.js";
import { chooseSession } from "./choose-session.js";
import { ControlSocket } from "./control/socket.js";
import { openDisk } from "./disk-argument.js";
import { reason, UsageError } from "./errors.js";
import { type BootFlags, type MachineNumbers, parseFlags } from "./flags.js";
import { collectGarbage } from "./garbage.js";
import { withGuest } from "./guest.js";
import { kvmiPlugins } from "./kvmi/machine.js";
import { Progress } from "./progress.js";
import { IMAGE_MAX, readFile } from "./read-file.js";
import { report, say } from "./report.js";
import { runMachine } from "./run-machine.js";
import type { Session } from "./session.js";
import { savingOf } from "./snapshot/save-at.js";
import { usage } from "./usage.js";
import { withinTime } from "./within-time.js";

const BUILTIN_NOTE =
  "booting the built-in guest; without --builtin it is Debian's kernel, with --kernel and --initrd a Linux of your own";

/**
 * `vm boot`: returns the status of the program.
 * @param plugins that look on, or make the machine what it is
 * @param series of Debian's kernel, where none is named; null: of none, something on a disk is booted
 * @throws {UsageError} before anything has started
 */
export async function boot(typed: BootFlags, plugins: readonly Plugin[] = [], series?: Series | null): Promise<number> {
  const numbers = parseFlags(typed);
  const flags = series === null ? typed : await withGuest(typed, series);
  const began = performance.now();
  const chosen = chooseSession(flags);
  if (flags.snapshot !== undefined)
    throw new UsageError("--snapshot does not go with vm td boot, nor with vm tdx trace");
  if (flags.lazy) throw new UsageError("--lazy needs --snapshot");
  if (flags.recordWorkingSet !== undefined) throw new UsageError("--record-working-set needs --snapshot and --lazy");
  const saving = savingOf(flags, chosen, flags.clock === "icount");
  const session = saving ?? chosen;
  const disks: Disk[] = [];
  const control = flags.control === undefined ? null : await ControlSocket.prepare(flags.control);
  let endControl = (): void => undefined;
  try {
    for (const argument of flags.disk ?? []) disks.push(await openDisk(argument));
    const machine = await withinTime({ began, timeout: numbers.timeout }, async (signal) =>
      makeMachine(flags, numbers, session, {
        ...(await readImages(flags, numbers.memory, signal)),
        disks,
        plugins,
        signal,
      }),
    );
    collectGarbage();
    endControl = (await control?.listen(machine)) ?? endControl;
    if (flags.builtin && flags.exec === undefined) say(BUILTIN_NOTE);
    const { timeout } = numbers;
    const statistics = flags.stats === true;
    const status = await runMachine({ machine, session, began, timeout, statistics }, (exit) =>
      report(machine, exit, {
        status: session.status(exit),
        why: session.why?.() ?? null,
        wasCommand: flags.exec !== undefined,
        verbose: flags.verbose === true,
      }),
    );
    return (await saving?.ended(status)) ?? status;
  } finally {
    endControl();
    await closeAll(disks);
  }
}

interface Parts {
  readonly kernel: Uint8Array | undefined;
  readonly initrd: Uint8Array | undefined;
  readonly disks: readonly Disk[];
  readonly plugins: readonly Plugin[];
  /** Ends the making of the machine. */
  readonly signal: AbortSignal;
}

/** @throws {UsageError} */
async function readImages({ kernel, initrd }: BootFlags, memory: number, signal: AbortSignal) {
  return {
    kernel: kernel === undefined ? undefined : await readFile("--kernel", kernel, { most: IMAGE_MAX, signal }),
    initrd: initrd === undefined ? undefined : await readFile("--initrd", initrd, { most: memory, signal }),
  };
}

async function makeMachine(
  flags: BootFlags,
  numbers: MachineNumbers,
  session: Session,
  parts: Parts,
): Promise<Machine> {
  const progress = new Progress("loading the kernel", { busy: parts.kernel !== undefined });
  const commandLine = session.words(flags.append ?? "").trim();
  const { timeout: _, ...size } = numbers;
  const lockdep = flags.lockdep ? new Lockdep({ onReport: ({ text }) => say(text) }) : undefined;
  const plugins = [
    ...parts.plugins,
    ...(await kvmiPlugins(flags, parts.signal)),
    ...(await bpfPlugins(flags, parts.signal)),
  ];
  try {
    return await createMachine({
      ...parts,
      initrd: session.initrd === undefined ? parts.initrd : session.initrd(parts.initrd),
      unpack: flags.unpack,
      legacyDevices: flags.legacyDevices,
      pci: flags.pci,
      asyncPf: flags.asyncPf,
      commandLine,
      ...size,
      memoryBackend: flags.memoryBackend,
      lockdep,
      clock: flags.clock,
      engine: flags.engine,
      plugins,
      hostUsage: usage,
    });
  } catch (error) {
    if (error instanceof KernelError) throw new UsageError(`--kernel ${flags.kernel}: ${error.message}`);
    if (error instanceof BootError || error instanceof MachineError) throw new UsageError(error.message);
    throw error;
  } finally {
    progress.end();
  }
}

/** Closes every disk, whatever becomes of the others, and says what went wrong. */
export async function closeAll(disks: readonly Disk[]): Promise<void> {
  for (const closed of await Promise.allSettled(disks.map((disk) => disk.close())))
    if (closed.status === "rejected") say(`disk error: ${reason(closed.reason)}`);
}
