import type { PagingControls } from "../src/index.js";
import { errorCodeOf, isAllowed, type Modes, type Request } from "./rights.js";

/** A naive page walk in BigInt: SDM 3A 4.3-4.5 read top to bottom. */
export interface ReferenceResult {
  /** The #PF error code, or null if the access is allowed. */
  fault: number | null;
  /** Physical address of the byte. */
  gpa: bigint;
  global: boolean;
  /** Of read, write, fetch at this privilege; write only with D set. */
  may: { read: boolean; write: boolean; fetch: boolean };
  /** Entries to be changed: address -> bits to set in its low byte. */
  marks: Map<bigint, bigint>;
}

interface Level {
  /** Index bits of the linear address: the lowest one and how many. */
  shift: bigint;
  bits: bigint;
  /** Entry has rights, A and reserved bits as usual (not so in a legacy-PAE PDPTE). */
  plain: boolean;
  /** What PS = 1 means here. */
  ps: "leaf" | "reserved" | "ignored";
}

const LONG: readonly Level[] = [
  { shift: 39n, bits: 9n, plain: true, ps: "reserved" },
  { shift: 30n, bits: 9n, plain: true, ps: "leaf" },
  { shift: 21n, bits: 9n, plain: true, ps: "leaf" },
  { shift: 12n, bits: 9n, plain: true, ps: "ignored" },
];
const LA57: readonly Level[] = [{ shift: 48n, bits: 9n, plain: true, ps: "reserved" }, ...LONG];
const LEGACY_PAE: readonly Level[] = [
  { shift: 30n, bits: 2n, plain: false, ps: "reserved" },
  { shift: 21n, bits: 9n, plain: true, ps: "leaf" },
  { shift: 12n, bits: 9n, plain: true, ps: "ignored" },
];
const legacy32 = (pse: boolean): readonly Level[] => [
  { shift: 22n, bits: 10n, plain: true, ps: pse ? "leaf" : "ignored" },
  { shift: 12n, bits: 10n, plain: true, ps: "ignored" },
];

/** Bits high..low. */
const field = (high: number, low: number): bigint =>
  high < low ? 0n : ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
const has = (value: bigint, bit: number): boolean => ((value >> BigInt(bit)) & 1n) === 1n;

/**
 * @param read reads `size` bytes at a physical address
 * @param m MAXPHYADDR
 */
export function referenceWalk(
  read: (gpa: bigint, size: 4 | 8) => bigint,
  c: PagingControls,
  linear: bigint,
  request: Request,
  m: number,
): ReferenceResult {
  const cr4 = BigInt(c.cr4);
  const long = has(BigInt(c.efer), 10);
  const modes: Modes = {
    wp: has(BigInt(c.cr0), 16),
    smep: has(cr4, 20),
    smap: has(cr4, 21),
    nxe: has(BigInt(c.efer), 11),
    pae: has(cr4, 5),
  };
  const size = modes.pae ? 8 : 4;
  const levels = long ? (has(cr4, 12) ? LA57 : LONG) : modes.pae ? LEGACY_PAE : legacy32(has(cr4, 4));
  const cr3 = BigInt(c.cr3Lo) | (BigInt(c.cr3Hi) << 32n);
  let table = cr3 & (long ? field(m - 1, 12) : modes.pae ? field(31, 5) : field(31, 12));
  const marks = new Map<bigint, bigint>();
  const no = { read: false, write: false, fetch: false };
  const fault = (present: boolean, reserved: boolean): ReferenceResult => {
    return { fault: errorCodeOf(request, modes, present, reserved), gpa: 0n, global: false, may: no, marks };
  };
  const path = { userAddress: true, writable: true, noExecute: false };

  for (const [depth, level] of levels.entries()) {
    const index = (linear >> level.shift) & ((1n << level.bits) - 1n);
    const at = table + index * BigInt(size);
    const entry = read(at, size);
    if (!has(entry, 0)) return fault(false, false);

    const last = depth === levels.length - 1;
    const leaf = last || (level.ps === "leaf" && has(entry, 7));
    let reserved = 0n;
    if (size === 8) {
      reserved |= long ? field(51, m) : field(level.plain ? 62 : 63, m);
      if (level.plain && !modes.nxe) reserved |= 1n << 63n;
      if (!level.plain) reserved |= field(2, 1) | field(8, 5);
      else if (level.ps === "reserved") reserved |= 1n << 7n;
      if (leaf && !last) reserved |= field(Number(level.shift) - 1, 13);
    } else if (leaf && !last) {
      // PSE-36: bits 13.. hold address bits 32.. up to MAXPHYADDR, at most 40; the rest up to 21 is reserved.
      reserved |= field(21, 13 + Math.min(m, 40) - 32);
    }
    if ((entry & reserved) !== 0n) return fault(true, true);

    if (level.plain) {
      path.writable &&= has(entry, 1);
      path.userAddress &&= has(entry, 2);
      path.noExecute ||= size === 8 && has(entry, 63);
    }
    if (!leaf) {
      if (level.plain && !has(entry, 5)) marks.set(at, 0x20n);
      table = entry & (size === 8 ? field(m - 1, 12) : field(31, 12));
      continue;
    }
    const key = (entry >> 59n) & 15n;
    const rights = long && has(cr4, 22) && path.userAddress ? (BigInt(c.pkru) >> (2n * key)) & 3n : 0n;
    const locked = (kind: Request["kind"]): boolean =>
      kind !== "fetch" &&
      (has(rights, 0) || (has(rights, 1) && kind === "write" && (request.mode === "user" || modes.wp)));
    if (locked(request.kind)) return { ...fault(true, false), fault: errorCodeOf(request, modes, true, false) + 0x20 };
    if (!isAllowed(request, modes, path)) return fault(true, false);
    const wanted = request.kind === "write" ? 0x60n : 0x20n;
    if ((entry & wanted) !== wanted) marks.set(at, wanted);
    const dirty = has(entry, 6) || request.kind === "write";
    const may = (kind: Request["kind"]): boolean =>
      isAllowed({ kind, mode: request.mode }, modes, path) && !locked(kind);
    const offset = linear & field(Number(level.shift) - 1, 0);
    let page = entry & field(size === 8 ? m - 1 : 31, Number(level.shift));
    if (size === 4 && !last) page |= ((entry & field(20, 13)) >> 13n) << 32n;
    return {
      fault: null,
      gpa: page | offset,
      global: has(entry, 8) && has(cr4, 7),
      may: { read: may("read"), write: may("write") && dirty, fetch: may("fetch") },
      marks,
    };
  }
  throw new Error("a walk ends at its last level");
}
