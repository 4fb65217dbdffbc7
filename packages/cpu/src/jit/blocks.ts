import type { CodePage } from "../code/cache.js";
import type { Effects } from "./effects.js";
import type { Piece } from "./piece.js";

/** A page of code in a region, as seen from the page that the region is entered in. */
export interface RegionPage {
  readonly code: CodePage;
  /** Linear distance from the region's first page, bytes. */
  readonly distance: number;
}

/** Where control goes at the end of a block. */
export type Target =
  /** To a block of the region. */
  | { readonly to: "block"; readonly block: number }
  /** Out, to this record. */
  | { readonly to: "record"; readonly record: number }
  /** Out, to the record that this branch is linked to by then. */
  | { readonly to: "link"; readonly branch: number }
  /** Out, to this offset from the block's page. */
  | { readonly to: "address"; readonly offset: number };

export type End =
  /** The next instruction is elsewhere. */
  | { readonly kind: "next"; readonly next: Target }
  /** The last piece branches to `taken` if its condition holds, else `next`; always if that is null. */
  | { readonly kind: "branch"; readonly taken: Target; readonly next: Target | null }
  /** The last piece calls what is outside of the region, at `to` or, if that is null, where it finds; control comes back to the block `back`. */
  | { readonly kind: "call"; readonly to: Target | null; readonly back: number }
  /** The last piece returns, perhaps to one of `candidates`, which are blocks. */
  | { readonly kind: "return"; readonly candidates: readonly number[] }
  /** The last piece finds the target. */
  | { readonly kind: "jump" };

/** What becomes one function. */
export interface Shape {
  readonly blocks: readonly Block[];
  /** Where it is entered, in its first page: the first is where it was wished for. */
  readonly entries: readonly { readonly block: number; readonly head: number }[];
}

/** Pieces that are executed one after the other. */
export interface Block {
  readonly page: RegionPage;
  /** Page offset of the first instruction. */
  readonly offset: number;
  readonly pieces: readonly Piece[];
  readonly effects: readonly Effects[];
  readonly end: End;
}

/** The blocks that a block leads to. */
export function successorsOf({ end }: Block): number[] {
  const block = (target: Target | null): number[] => (target !== null && target.to === "block" ? [target.block] : []);
  switch (end.kind) {
    case "next":
      return block(end.next);
    case "branch":
      return [...block(end.taken), ...block(end.next)];
    case "call":
      return [end.back];
    case "return":
      return [...end.candidates];
    case "jump":
      return [];
  }
}

/** Blocks at whose start the flags must be worked out, because something reads what was set before. */
export function wantFlags({ blocks, entries }: Shape): boolean[] {
  // A jump whose target only execution tells may lead to any entry.
  const anywhere = entries.length > 1 ? entries.map(({ block }) => block) : [];
  const leadsTo = (block: Block): readonly number[] =>
    block.end.kind === "jump" || block.end.kind === "return"
      ? [...successorsOf(block), ...anywhere]
      : successorsOf(block);
  const reads: boolean[] = [];
  const passes: boolean[] = [];
  for (const { effects } of blocks) {
    const first = effects.find((e) => e.reads || e.writes);
    reads.push(first?.reads ?? false);
    passes.push(first === undefined);
  }
  const wants = [...reads];
  for (let changed = true; changed; ) {
    changed = false;
    blocks.forEach((block, k) => {
      if (wants[k] || !passes[k] || !leadsTo(block).some((to) => wants[to])) return;
      wants[k] = true;
      changed = true;
    });
  }
  return wants;
}
