import type { IrqLine } from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import * as L from "../layout.js";

/** Bytes of the ID. */
export const GENERATION_BYTES = 16;
/** That of a machine whose runs repeat exactly, and of each that goes on from it. */
const FIXED = Uint8Array.from({ length: GENERATION_BYTES }, (_, k) => k + 1);

/** The virtual machine generation ID: a guest that goes on where others may go on as well is told, so that its random numbers are not theirs. */
export class Generation {
  readonly #memory: Mmu;
  readonly #line: IrqLine;

  constructor(memory: Mmu, line: IrqLine) {
    this.#memory = memory;
    this.#line = line;
  }

  /** Before the guest runs. @param repeats it runs exactly as others do */
  begin(repeats: boolean): void {
    this.#memory.write(L.GENERATION, repeats ? FIXED : random());
  }

  /** The guest goes on from a state that others have as well. Its page has to be here. */
  renew(): void {
    this.#memory.write(L.GENERATION, random());
    this.#line.set(true);
    this.#line.set(false);
  }
}

const random = (): Uint8Array => crypto.getRandomValues(new Uint8Array(GENERATION_BYTES));
