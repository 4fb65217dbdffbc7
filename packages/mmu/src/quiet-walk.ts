import { Access, type PagingControls, Status } from "./access.js";
import { Cr0, Cr4 } from "./bits.js";
import type { SecondLevel } from "./second-level.js";
import type { Gfn } from "./units.js";
import { PageWalker } from "./walk.js";

/** Rights by ring and key, which bind the guest and not one who looks at it. */
const RIGHTS = Cr4.Smep | Cr4.Smap | Cr4.Pke;

/** The guest page walk of one who only looks: rights do not matter, and neither A nor D is set. */
export class QuietWalk {
  readonly #second: SecondLevel;
  readonly #walker: PageWalker;
  readonly #controls = { cr0: 0, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };

  /** As of {@link PageWalker}. */
  constructor(u32: Uint32Array, second: SecondLevel, maxPhyAddr: number) {
    this.#second = second;
    const unmarking = { table: (gfn: Gfn) => second.table(gfn), mayMark: () => false };
    this.#walker = new PageWalker(u32, unmarking, maxPhyAddr);
  }

  /** The guest frame that linear address `hi:lo` leads to, as it seems; -1 if the tables name none, or cannot be had. */
  gfn(controls: PagingControls, lo: number, hi: number): number {
    if ((controls.cr0 & Cr0.Pg) === 0) return lo >>> 12;
    Object.assign(this.#controls, controls, { cr4: controls.cr4 & ~RIGHTS });
    if (this.#walker.walk(this.#controls, lo, hi, Access.Ac)) return this.#walker.gfn;
    this.#second.refused = Status.Ok;
    return -1;
  }
}
