import type { Machine } from "../../index.js";
import { type StoredSnapshot, saveWorkingSet } from "../../node.js";
import { UsageError } from "../errors.js";

/** `vm boot --record-working-set`: once the machine has ended. @throws {UsageError} if the file cannot be written */
export async function recordWorkingSet(file: string, snapshot: StoredSnapshot | null, machine: Machine): Promise<void> {
  if (snapshot === null) return;
  try {
    await saveWorkingSet(file, snapshot, machine);
  } catch (error) {
    throw new UsageError(`--record-working-set: ${file} cannot be written: ${(error as Error).message}`);
  }
}
