import type { Disk } from "../../disk/disk.js";
import { createMachine, type Machine, MachineError, type MachineShape } from "../../index.js";
import { loadSnapshot, SnapshotError, type StoredSnapshot } from "../../node.js";
import type { VirtualMachine } from "../../virtual-machine.js";
import { closeAll } from "../boot.js";
import { bpfPlugins } from "../bpf/machine.js";
import { ControlSocket } from "../control/socket.js";
import { openDisk } from "../disk-argument.js";
import { UsageError } from "../errors.js";
import { commandSession } from "../exec-session.js";
import { type BootFlags, parseFlags } from "../flags.js";
import { interactiveSession } from "../interactive-session.js";
import { kvmiPlugins } from "../kvmi/machine.js";
import { report } from "../report.js";
import { runMachine } from "../run-machine.js";
import type { Session } from "../session.js";
import { usage } from "../usage.js";
import { withinTime } from "../within-time.js";
import { recordWorkingSet } from "./record-working-set.js";
import { savingOf } from "./save-at.js";

/** What goes with `--snapshot`: everything else is in the snapshot. */
const WITH: ReadonlySet<string> = new Set([
  ...["snapshot", "lazy", "recordWorkingSet", "disk", "engine", "stats", "timeout", "verbose", "exec"],
  ...["snapshotAt", "stopAfterSnapshot", "control", "kvmi", "kvmiDialect", "kvmiKey", "kvmiFilter"],
  ...["bpf", "bpfRecord", "bpfSocket"],
]);

/**
 * `vm boot --snapshot`: returns the status of the program.
 * @param typed names of the flags that were on the command line
 * @throws {UsageError} before anything has started
 */
export async function bootSnapshot(folder: string, flags: BootFlags, typed: readonly string[]): Promise<number> {
  const other = typed.find((name) => !WITH.has(name));
  if (other !== undefined) {
    const flag = other.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new UsageError(`--${flag} does not go with --snapshot, which has all that the guest was started with`);
  }
  const { recordWorkingSet: recording } = flags;
  if (recording !== undefined && flags.lazy !== true) throw new UsageError("--record-working-set needs --lazy");
  const { timeout } = parseFlags(flags);
  const began = performance.now();
  const control = flags.control === undefined ? null : await ControlSocket.prepare(flags.control);
  const disks: Disk[] = [];
  let snapshot: StoredSnapshot | null = null;
  let endControl = (): void => undefined;
  try {
    // The image stays as it was saved, for who goes on from there another time.
    for (const argument of flags.disk ?? []) disks.push(await openDisk(argument, "overlay"));
    const { machine, repeats } = await withinTime({ began, timeout }, (signal) =>
      explained(folder, async () => {
        const plugins = [...(await kvmiPlugins(flags, signal)), ...(await bpfPlugins(flags, signal))];
        // What is read ahead would not be recorded in the order in which it was needed.
        snapshot = await loadSnapshot(folder, { signal, lazy: flags.lazy, readAhead: recording === undefined });
        const machine = await createMachine({
          snapshot,
          disks,
          plugins,
          engine: flags.engine,
          signal,
          hostUsage: usage,
        });
        return { machine, repeats: (snapshot.meta as MachineShape).clock === "icount" };
      }),
    );
    const chosen = sessionOf(machine, flags, repeats);
    const saving = savingOf(flags, chosen, repeats);
    const session = saving ?? chosen;
    endControl = (await control?.listen(machine)) ?? endControl;
    const statistics = flags.stats === true;
    const status = await runMachine({ machine, session, began, timeout, statistics }, (exit) =>
      report(machine, exit, {
        status: session.status(exit),
        why: session.why?.() ?? null,
        wasCommand: session.why !== undefined,
        verbose: flags.verbose === true,
      }),
    );
    const ended = (await saving?.ended(status)) ?? status;
    if (recording !== undefined) await recordWorkingSet(recording, snapshot, machine);
    return ended;
  } finally {
    endControl();
    await (snapshot as StoredSnapshot | null)?.close();
    await closeAll(disks);
  }
}

/** Who takes up what the guest was doing. @throws {UsageError} if it has no agent for a command, or runs another one */
function sessionOf(machine: Machine, { exec, verbose }: BootFlags, repeats: boolean): Session {
  const { saved } = (machine as VirtualMachine).agents;
  const running = saved?.script?.origin.command?.command;
  if (exec !== undefined && saved === null)
    throw new UsageError(
      "--exec: nobody in the guest waits for a command: expected a snapshot of vm boot --exec COMMAND --snapshot-at ready:FOLDER",
    );
  if (exec !== undefined && running !== undefined)
    throw new UsageError(`--exec: the guest is about to run, or runs, ${JSON.stringify(running)} already`);
  const command = running ?? exec;
  if (command !== undefined)
    return commandSession(command, { ...(verbose === true ? { verbose } : {}), repeats, saved: true });
  if (saved !== null) throw new UsageError("the guest waits for a command: expected --exec COMMAND");
  return interactiveSession();
}

async function explained<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SnapshotError) throw new UsageError(`--snapshot: ${error.message}`);
    if (error instanceof MachineError) throw new UsageError(`--snapshot ${folder}: ${error.message}`);
    throw error;
  }
}
