import type { Disk } from "../../disk/disk.js";
import { createMachine, MachineError } from "../../index.js";
import { loadSnapshot, SnapshotError, type StoredSnapshot } from "../../node.js";
import { openDisk } from "../disk-argument.js";
import { UsageError } from "../errors.js";
import { type BootFlags, parseFlags } from "../flags.js";
import { interactiveSession } from "../interactive-session.js";
import { report } from "../report.js";
import { runMachine } from "../run-machine.js";
import { usage } from "../usage.js";
import { withinTime } from "../within-time.js";

/** What goes with `--snapshot`: everything else is in the snapshot. */
const WITH: ReadonlySet<string> = new Set(["snapshot", "lazy", "disk", "engine", "stats", "timeout", "verbose"]);

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
  const { timeout } = parseFlags(flags);
  const began = performance.now();
  const disks: Disk[] = [];
  let snapshot: StoredSnapshot | null = null;
  try {
    for (const argument of flags.disk ?? []) disks.push(await openDisk(argument));
    const machine = await withinTime({ began, timeout }, (signal) =>
      explained(folder, async () => {
        snapshot = await loadSnapshot(folder, { signal, lazy: flags.lazy });
        return createMachine({ snapshot, disks, engine: flags.engine, signal, hostUsage: usage });
      }),
    );
    const session = interactiveSession();
    const statistics = flags.stats === true;
    return await runMachine({ machine, session, began, timeout, statistics }, (exit) => report(machine, exit));
  } finally {
    await (snapshot as StoredSnapshot | null)?.close();
    for (const disk of disks) await disk.close();
  }
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
