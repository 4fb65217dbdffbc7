import type { FreezableDisk, FrozenDisk } from "./disk/frozen-disk.js";
import { OverlayDisk } from "./disk/overlay-disk.js";
import type { MachineDisk } from "./disk/saved-disk.js";
import { MachineError } from "./error.js";
import type { MachineMake, MachineShape, MachineSnapshot, SavedState } from "./machine-snapshot.js";
import type { MachineOptions } from "./options.js";
import type { VirtualMachine } from "./virtual-machine.js";

/** What a fork may have of its own. */
export type ForkOptions = Pick<MachineOptions, "disks" | "engine" | "plugins" | "signal" | "hostUsage">;

/** A machine as it is at a moment, for one that goes on from there while it goes on itself. */
export interface Forked {
  readonly snapshot: MachineSnapshot;
  /** As they are, written to without changing anything but the fork's memory. */
  readonly disks: readonly MachineDisk[];
  /** The machine no longer pays for the fork, which has ended. */
  close(): Promise<void>;
}

/** While the guest stands still. Nothing is copied but the state of processors and devices. @throws {MachineError} `option` for a machine whose memory is not its own */
export function forkOf(machine: VirtualMachine, make: MachineMake, disks: readonly FreezableDisk[]): Forked {
  if (make.memoryBackend !== "anonymous")
    throw new MachineError("option", `a machine with memoryBackend ${make.memoryBackend} cannot be forked`);
  const memory = machine.memory.freeze();
  const frozen = disks.map((disk) => disk.freeze());
  const saved = structuredClone(machine.save());
  const state: SavedState = { ...saved, overlays: disks.map(() => null) };
  const meta: MachineShape = {
    ...make,
    disks: disks.map(({ sectors, readonly }) => ({ sectors, readonly, version: null, name: null })),
    instructions: saved.clock.retired,
  };
  return {
    snapshot: { meta, state, pieces: () => [], late: memory },
    disks: disks.map(
      ({ readonly }, k) => (readonly ? frozen[k] : new OverlayDisk(frozen[k] as FrozenDisk)) as MachineDisk,
    ),
    close: async () => {
      memory.close();
      for (const disk of frozen) await disk.close();
    },
  };
}
