import type { Gfn } from "../units.js";
import { Ept, type EptFeatures, framesAt, indexAt, isLeaf, isMisconfigured, Qualification } from "./ept.js";

/** What became of an access. */
export enum EptExit {
  None,
  Violation,
  Misconfiguration,
}

/** An access to a guest-physical address. */
export interface EptAccess {
  /** {@link Ept} R, W or X; R and W for a read-modify-write. */
  readonly want: number;
  /** To a guest paging-structure entry, on the way of a linear address. */
  readonly walk?: boolean;
  /** There is a linear address. Default true. */
  readonly linear?: boolean;
}

/** Where tables are: entry i of table t is at words `t * 1024 + 2 * i` and the next. */
export interface TableMemory {
  readonly u32: Uint32Array;
}

/**
 * Translates guest-physical addresses by EPT tables as a processor does: SDM 3C 29.3.2 (translation), 29.3.3 (misconfigurations before violations, entry
 * by entry from the top), 29.3.5 (accessed and dirty flags, which make writes of accesses to guest paging structures).
 */
export class EptWalker {
  /** Without an exit: the frame. */
  pfn = 0;
  /** The word of the last entry that was read, and its level. */
  at = 0;
  level = 0;
  /** After a violation: the exit qualification, {@link Qualification}. */
  qualification = 0;
  /** R, W and X of all entries used. */
  rights = 0;

  constructor(
    readonly memory: TableMemory,
    readonly features: EptFeatures,
  ) {}

  /** @param root table of the highest of `levels`, 4 or 5 */
  walk(root: number, levels: number, gfn: Gfn, access: EptAccess): EptExit {
    const { u32 } = this.memory;
    const { accessedDirty } = this.features;
    const want = access.walk && accessedDirty ? access.want | Ept.R | Ept.W : access.want;
    const used: number[] | null = accessedDirty ? [] : null;
    let table = root;
    this.rights = Ept.Rwx;
    for (this.level = levels; ; this.level--) {
      this.at = table * 1024 + indexAt(gfn, this.level) * 2;
      const lo = u32[this.at] as number;
      const hi = u32[this.at + 1] as number;
      this.rights &= lo;
      if ((lo & Ept.Rwx) === 0) return this.#violation(want, access);
      if (isMisconfigured(lo, hi, this.level, this.features)) return EptExit.Misconfiguration;
      used?.push(this.at);
      table = (hi & 0xfffff) * 0x100000 + (lo >>> 12);
      if (isLeaf(lo, this.level)) break;
    }
    if ((want & ~this.rights) !== 0) return this.#violation(want, access);
    if (used !== null) {
      for (const at of used) u32[at] = (u32[at] as number) | Ept.A;
      if ((want & Ept.W) !== 0) u32[this.at] = (u32[this.at] as number) | Ept.D;
    }
    this.pfn = table + (gfn % framesAt(this.level));
    return EptExit.None;
  }

  #violation(want: number, { walk = false, linear = true }: EptAccess): EptExit {
    this.qualification = want | (this.rights << 3);
    if (linear) this.qualification |= Qualification.LinearValid | (walk ? 0 : Qualification.Final);
    return EptExit.Violation;
  }
}
