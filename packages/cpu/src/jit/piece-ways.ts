import type { I32, Local64 } from "../sem/ctx.js";

/** Where a region goes at the end of a block, and how it leaves in the middle of one. */
export interface PieceWays {
  /** Leaves with this instruction not started. */
  readonly leave: () => void;
  /** To the direct target if `condition` holds, else to the next instruction; always if there is none. */
  readonly branch: (condition: I32 | null) => void;
  /** Instructions behind this one that have been paid for with it. */
  readonly behind: number;
  /** To a linear address. */
  readonly jump: (target: Local64) => void;
}
