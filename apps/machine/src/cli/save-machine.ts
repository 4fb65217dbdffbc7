import { type Machine, MachineError, type SnapshotOptions } from "../index.js";
import { type SaveSnapshotOptions, SnapshotError, saveSnapshot } from "../node.js";

/** How a machine is saved. */
export interface SaveOptions extends SnapshotOptions, SaveSnapshotOptions {}

/** Saves a machine that runs to a folder; its guest goes on while the folder is written. @returns what is said of it @throws what {@link saveFault} knows, and the signal's reason */
export async function saveMachine(
  machine: Machine,
  folder: string,
  { at, stop, ...work }: SaveOptions = {},
): Promise<string> {
  const { storedBytes } = await saveSnapshot(folder, await machine.snapshot({ at, stop }), work);
  return `saved to ${folder}, ${(storedBytes / 1e6).toFixed(1)} MB`;
}

/** Why a machine could not be saved: a sentence. Throws what is none of that. */
export function saveFault(error: unknown): string {
  if (error instanceof SnapshotError || error instanceof MachineError) return error.message;
  throw error;
}
