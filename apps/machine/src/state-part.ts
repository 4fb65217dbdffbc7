import { StateError, within } from "@vm/devices";

/** Has a part take its state, and names from the whole what it refuses, also by an error of its own. @throws {StateError} */
export function part<T>(path: string, take: () => T): T {
  return within(path, () => {
    try {
      return take();
    } catch (error) {
      if (error instanceof StateError) throw error;
      throw new StateError("", `cannot be: ${error instanceof Error ? error.message : String(error)}`);
    }
  });
}
