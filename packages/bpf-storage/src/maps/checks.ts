import { BpfError } from "../errors.js";
import { MapFlag } from "../uapi/map-types.js";
import type { MapDesc } from "./map.js";

/** What the kernel allocates at once at most (`KMALLOC_MAX_SIZE`), and for each CPU (`PCPU_MIN_UNIT_SIZE`): bytes. */
export const KMALLOC_MOST = 4 << 20;
export const PER_CPU_MOST = 32 << 10;

/** `BPF_F_RDONLY` and its like (`BPF_F_ACCESS_MASK`). */
export const ACCESS_FLAGS = MapFlag.Rdonly | MapFlag.Wronly | MapFlag.RdonlyProg | MapFlag.WronlyProg;
const NO_PROGRAM = MapFlag.RdonlyProg | MapFlag.WronlyProg;

/** Names of flags, for messages. */
const named = (flags: number): string =>
  Object.entries(MapFlag)
    .filter(([, bit]) => (flags & bit) !== 0)
    .map(([name]) => name)
    .join(", ") || "none";

/**
 * Whether the flags of a map are any that its kind has: programs must be able to do something with it.
 * @param what the kind, for the message: "a hash table"
 * @throws {BpfError} EINVAL
 */
export function checkFlags({ flags }: MapDesc, allowed: number, what: string): void {
  if ((flags & ~allowed) !== 0)
    throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of ${what}: expected some of ${named(allowed)}`);
  if ((flags & NO_PROGRAM) === NO_PROGRAM)
    throw new BpfError("EINVAL", `flags 0x${flags.toString(16)} of ${what}: RdonlyProg and WronlyProg at once`);
}

/** Whether a map is to be on a certain node of memory. */
export const hasNode = ({ flags, numaNode = 0 }: MapDesc): boolean =>
  (flags & MapFlag.NumaNode) !== 0 && (numaNode | 0) !== -1;

/** @throws {BpfError} EINVAL unless the sizes of a map are those that are expected. @param what as {@link checkFlags} */
export function checkSizes(desc: MapDesc, what: string, ok: boolean, expected: string): void {
  const { keySize, valueSize, maxEntries } = desc;
  if (!ok)
    throw new BpfError(
      "EINVAL",
      `${what} with keys of ${keySize} and ${maxEntries} values of ${valueSize} bytes: expected ${expected}`,
    );
}
