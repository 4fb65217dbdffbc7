import type { Label } from "./label.js";

/** A field whose value is known only when every label is bound. `at` counts from the start of the instruction. */
export interface Fixup {
  readonly at: number;
  /** Bytes. */
  readonly width: number;
  /** Relative fields count from the end of their instruction. */
  readonly relative: boolean;
  /** Undefined for a branch to an absolute address. */
  readonly label: Label | undefined;
  readonly addend: bigint;
}
