import { GuestOsError, type LinuxKernel, matching } from "@vm/kvmi";
import { UsageError } from "../errors.js";
import { printable } from "../printable.js";

/** Functions that are traced at once. */
const MOST = 256;
/** Names that are listed where there may be many. */
const LISTED = 8;

/** Functions to look at, by address. */
export interface Probes {
  readonly functions: ReadonlyMap<bigint, string>;
  /** What a pattern covers and is no code; half a sentence, or null. */
  readonly left: string | null;
}

const isPattern = (name: string): boolean => /[*?]/.test(name);

/**
 * The functions that names and patterns stand for.
 * @throws {GuestOsError} if there is none of a name
 * @throws {UsageError} for too many
 */
export function probes(kernel: LinuxKernel, names: readonly string[]): Probes {
  const functions = new Map<bigint, string>();
  const data: string[] = [];
  for (const name of names) {
    const covered = isPattern(name) ? matching(kernel.symbols.keys(), name) : [name];
    let found = 0;
    for (const each of covered) {
      const address = kernel.symbol(each);
      if (kernel.isCode(address)) {
        found++;
        // One function may have several names.
        if (!functions.has(address)) functions.set(address, each);
      } else if (isPattern(name)) data.push(each);
      else throw new GuestOsError("no-symbol", `${name} is no function that is there when the kernel has started`);
    }
    if (found === 0) throw new GuestOsError("no-symbol", `the kernel has no function ${name}`);
  }
  if (functions.size > MOST)
    throw new UsageError(`--function ${names.join(",")}: ${functions.size} functions, where ${MOST} are the most`);
  return { functions, left: data.length === 0 ? null : `no code, so not traced: ${some(data)}` };
}

function some(names: readonly string[]): string {
  const listed = names.slice(0, LISTED).map(printable).join(", ");
  return names.length > LISTED ? `${listed} and ${names.length - LISTED} more` : listed;
}
