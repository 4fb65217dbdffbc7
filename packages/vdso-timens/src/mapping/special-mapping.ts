/** The mappings that hold the pages and the image (`_install_special_mapping`). */
import { PAGE, type VvarAbi } from "../vvar/abi.js";

/** Flags of a mapping that occur here (`include/linux/mm.h`), each with its name in `/proc/PID/smaps`, which lists them in this order. */
export enum VmFlag {
  Read = 0x1,
  Write = 0x2,
  Exec = 0x4,
  MayRead = 0x10,
  MayWrite = 0x20,
  MayExec = 0x40,
  PfnMap = 0x400,
  Io = 0x4000,
  DontExpand = 0x4_0000,
  DontDump = 0x400_0000,
}

const NAMES: readonly (readonly [VmFlag, string])[] = [
  [VmFlag.Read, "rd"],
  [VmFlag.Write, "wr"],
  [VmFlag.Exec, "ex"],
  [VmFlag.MayRead, "mr"],
  [VmFlag.MayWrite, "mw"],
  [VmFlag.MayExec, "me"],
  [VmFlag.PfnMap, "pf"],
  [VmFlag.Io, "io"],
  [VmFlag.DontExpand, "de"],
  [VmFlag.DontDump, "dd"],
];

/** What follows `VmFlags: ` in `/proc/PID/smaps`. */
export const vmFlagsText = (flags: number): string =>
  NAMES.map(([flag, name]) => ((flags & flag) !== 0 ? `${name} ` : "")).join("");

/** A mapping as a whole: none of these can be split. */
export interface SpecialMapping {
  /** In `/proc/PID/maps`. */
  readonly name: "[vvar]" | "[vvar_vclock]" | "[vdso]";
  /** Slot of its first page. */
  readonly slot: number;
  readonly pages: number;
  /** {@link VmFlag} bits. */
  readonly flags: number;
}

/** Readable data that is not memory to anybody else: neither in a core dump nor by `/proc/PID/mem`. */
const DATA = VmFlag.Read | VmFlag.MayRead | VmFlag.PfnMap | VmFlag.Io | VmFlag.DontExpand | VmFlag.DontDump;
/** A debugger may write to its own copy. */
const CODE = VmFlag.Read | VmFlag.Exec | VmFlag.MayRead | VmFlag.MayWrite | VmFlag.MayExec | VmFlag.DontExpand;

/** The mappings of a new program, from the lowest on, one right after the other. @param imageBytes of the image, a multiple of 4096 */
export function specialMappings({ pages, vvarPages }: VvarAbi, imageBytes: number): readonly SpecialMapping[] {
  const vvar = { name: "[vvar]", slot: 0, pages: vvarPages, flags: DATA } as const;
  const vclock = { name: "[vvar_vclock]", slot: vvarPages, pages: pages.length - vvarPages, flags: DATA } as const;
  const vdso = { name: "[vdso]", slot: pages.length, pages: imageBytes / PAGE, flags: CODE } as const;
  return vclock.pages === 0 ? [vvar, vdso] : [vvar, vclock, vdso];
}
