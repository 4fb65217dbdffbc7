import { GuestOsError, type Symbols } from "@vm/kvmi";
import type { VirtualMemory } from "../../virtual-memory.js";

/** A place in the kernel's code where a tracepoint is: a no-op, which the kernel turns into a jump to what calls its probes. */
export interface TracepointSite {
  readonly code: bigint;
  readonly target: bigint;
}

/** A tracepoint of the kernel. */
export interface Tracepoint {
  readonly sites: readonly TracepointSite[];
  /** The pointer to its probes, NULL while it has none. */
  readonly probes: bigint;
  /** The functions that its sites call with its arguments. */
  readonly callees: readonly bigint[];
}

/** `struct jump_entry` (include/linux/jump_label.h): two distances and the key, each from its own place. */
const ENTRY = { code: 0, target: 4, key: 8, size: 16 };
/** Bits of a key that are none of its address. */
const KEY_FLAGS = 3n;
const LOW_FLAGS = Number(KEY_FLAGS);
const TABLE_MOST = 4 << 20;

/** Where the members of `struct tracepoint` are, bytes. */
export interface TracepointLayout {
  readonly key: number;
  readonly funcs: number;
}

/**
 * Finds all places of a tracepoint by the kernel's own list of what it patches.
 * @returns null if there is no such tracepoint
 * @throws {GuestOsError} for a list that makes no sense
 */
export function findTracepoint(
  name: string,
  symbols: Symbols,
  layout: TracepointLayout,
  memory: VirtualMemory,
): Tracepoint | null {
  const tracepoint = symbols.get(`__tracepoint_${name}`);
  const [from, to] = [symbols.get("__start___jump_table"), symbols.get("__stop___jump_table")];
  if (tracepoint === undefined || from === undefined || to === undefined) return null;
  const size = Number(to - from);
  const table = size >= 0 && size <= TABLE_MOST ? memory.read(from, size) : null;
  if (table === null) throw new GuestOsError("implausible", `the kernel's list of jump labels has ${size} bytes`);
  const view = new DataView(table.buffer);
  const wanted = tracepoint + BigInt(layout.key);
  // The lower halves tell nearly all entries apart.
  const [fromLow, wantedLow] = [Number(BigInt.asUintN(32, from)), Number(BigInt.asUintN(32, wanted)) & ~LOW_FLAGS];
  const sites: TracepointSite[] = [];
  for (let at = 0; at + ENTRY.size <= size; at += ENTRY.size) {
    if (((fromLow + at + ENTRY.key + view.getInt32(at + ENTRY.key, true)) & ~LOW_FLAGS) !== wantedLow) continue;
    const entry = from + BigInt(at);
    const key = BigInt.asUintN(64, entry + BigInt(ENTRY.key) + view.getBigInt64(at + ENTRY.key, true)) & ~KEY_FLAGS;
    if (key !== wanted) continue;
    const reach = (field: number): bigint => entry + BigInt(field) + BigInt(view.getInt32(at + field, true));
    sites.push({ code: reach(ENTRY.code), target: reach(ENTRY.target) });
  }
  const callees = ["__traceiter_", "__SCT__tp_func_"].flatMap((prefix) => symbols.get(`${prefix}${name}`) ?? []);
  return { sites, probes: tracepoint + BigInt(layout.funcs), callees };
}
