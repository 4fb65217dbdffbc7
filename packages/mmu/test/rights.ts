/**
 * SDM 3A 4.6.1 and 4.7 written once more, sentence by sentence and without regard to speed: the yardstick for src/permissions.ts.
 */
export interface Request {
  kind: "read" | "write" | "fetch";
  /** Who asks: a user-mode access, or a supervisor-mode access that is explicit (with or without EFLAGS.AC) or implicit. */
  mode: "user" | "explicit" | "explicit+ac" | "implicit";
}

export interface Modes {
  wp: boolean;
  smep: boolean;
  smap: boolean;
  nxe: boolean;
  /** CR4.PAE: 8-byte entries. */
  pae: boolean;
}

/** Whether any/every entry of the walk has the bit. */
export interface Path {
  /** Every entry has U/S: a user-mode address. */
  userAddress: boolean;
  /** Every entry has R/W. */
  writable: boolean;
  /** Some entry has XD (and NXE is on). */
  noExecute: boolean;
}

export function isAllowed({ kind, mode }: Request, modes: Modes, path: Path): boolean {
  const executable = !modes.nxe || !path.noExecute;
  if (mode === "user") {
    if (!path.userAddress) return false;
    if (kind === "read") return true;
    if (kind === "write") return path.writable;
    return executable;
  }
  if (kind === "fetch") {
    if (path.userAddress && modes.smep) return false;
    return executable;
  }
  if (path.userAddress && modes.smap && mode !== "explicit+ac") return false;
  if (kind === "read") return true;
  return modes.wp ? path.writable : true;
}

/** The error code of a #PF whose P and RSVD flags are given. */
export function errorCodeOf({ kind, mode }: Request, modes: Modes, present: boolean, reserved: boolean): number {
  let code = 0;
  if (present) code += 1;
  if (kind === "write") code += 2;
  if (mode === "user") code += 4;
  if (reserved) code += 8;
  if (kind === "fetch" && (modes.smep || (modes.pae && modes.nxe))) code += 16;
  return code;
}
