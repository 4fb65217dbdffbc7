import type { Condition, Scene } from "./scene.js";

/**
 * Conditions that can be there together, first the one that is reported. Between classes the order is that of SDM vol. 3, table 6-2
 * (7-2 in later editions); within one it is the processor's own, and `within` says where it comes from.
 */
export interface Chain {
  readonly name: string;
  readonly code: readonly number[];
  readonly setup?: (s: Scene) => void;
  readonly within: string;
  readonly conditions: readonly Condition[];
}
