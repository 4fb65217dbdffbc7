import { type IoApicState, type LocalApicState, type PicPairState, read, type StateReader } from "@vm/devices";
import type { PartStates } from "./parts.js";

/** What all devices of a board are like. */
export interface BoardState {
  readonly parts: PartStates;
  readonly ioApic: IoApicState;
  readonly pics: PicPairState | null;
  readonly apics: readonly LocalApicState[];
}

/** What is there; each part reads its own. @param legacy with 8259A */
export const readBoard = (processors: number, legacy: boolean): StateReader<BoardState> =>
  read.record<BoardState>({
    parts: (value) => value as PartStates,
    ioApic: (value) => value as IoApicState,
    pics: legacy ? (value) => value as PicPairState : read.none,
    apics: read.list((value) => value as LocalApicState, processors),
  });
