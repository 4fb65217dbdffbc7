import type { ExitKind } from "../observer.js";

/** What became of the code at one linear address. Addresses are linear, 64 bits, unsigned. */
export interface Explanation {
  readonly address: bigint;
  /** The regions that contain the address, oldest first. */
  readonly regions: readonly ExplainedRegion[];
  /** Regions that contained it and are not told of any more, because others came after them. */
  readonly forgotten: number;
  /** How often a region was to begin right there and could not. */
  readonly refused: number;
  /** What is at the address now; null where no code of the page is known. */
  readonly now: Landing | null;
}

/** What became of a region. */
export type RegionState =
  /** It can be entered. */
  | "used"
  /** Another one is entered in its stead. */
  | "replaced"
  /** There were too many, and this one was not entered for a while. */
  | "evicted"
  /** The code it was made of was changed, or all decoded code was dropped. */
  | "dropped";

export interface ExplainedRegion {
  /** Of all regions of the machine, from 1 on. */
  readonly number: number;
  /** Made because a small one was entered time and again. */
  readonly wide: boolean;
  readonly state: RegionState;
  /** The region that is entered in its stead, for `replaced`. */
  readonly successor: number | null;
  readonly entries: readonly ExplainedEntry[];
  readonly blocks: readonly ExplainedBlock[];
  /** How often control left it and where, most often first; what never happened is left out. */
  readonly exits: readonly ExplainedExit[];
  /** A module with the region's function alone, without what counts. */
  readonly wasm: () => Uint8Array<ArrayBuffer>;
}

/** Where a region is entered. */
export interface ExplainedEntry {
  readonly block: number;
  readonly entered: number;
  /** Times that it is entered yet until it is worth a wider one or another look, 0 for never; null if it is not entered here any more. */
  readonly left: number | null;
}

export interface ExplainedBlock {
  readonly address: bigint;
  readonly executed: number;
  readonly instructions: readonly ExplainedInstruction[];
  /** Where control goes at its end. */
  readonly ways: readonly ExplainedWay[];
}

export interface ExplainedInstruction {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** Disassembled. */
  readonly text: string;
}

export interface ExplainedWay {
  /** `else` is the next instruction behind a branch, `found` one of the places that a return is compared with, `back` where a call returns to. */
  readonly when: "next" | "taken" | "else" | "found" | "back" | "elsewhere";
  /** Block of the region, or null for a way out. */
  readonly block: number | null;
  /** Where it leads; null if only execution tells. */
  readonly address: bigint | null;
  /** What is there now; null inside of the region, and in other pages. */
  readonly landing: Landing | null;
}

export interface ExplainedExit {
  readonly kind: ExitKind;
  readonly block: number;
  /** The instruction in front of which, or for exits at a block's end behind which, control left. */
  readonly instruction: ExplainedInstruction;
  readonly count: number;
}

/** Code as it is decoded now. */
export interface Landing {
  readonly address: bigint;
  /** Whether anything was decoded at the address, which is done shortly before it is executed first. */
  readonly decoded: boolean;
  /** The instruction; null if it is not decoded, or goes on in the next page. */
  readonly text: string | null;
  /** Whether regions can contain it. */
  readonly regular: boolean;
  /** The nearest place, itself or before it, that control comes to from elsewhere and goes on from to here; null if there is none. */
  readonly head: ExplainedHead | null;
}

/** A place that control comes to from elsewhere. */
export interface ExplainedHead {
  readonly address: bigint;
  /** Times that control has come there since it is counted; 0 where a region begins. */
  readonly heat: number;
  /** Times until it is hot. */
  readonly threshold: number;
  /** It is hot, and waits for its region. */
  readonly wished: boolean;
  /** Number of the region that begins there, or null. */
  readonly region: number | null;
}
