import { Mrtd } from "../../../src/measure/mrtd.js";
import type { Lifecycle, OpState } from "../../../src/module/td.js";

/** What is at a guest physical address, as the model has it. */
export interface Mapping {
  hpa: number;
  pending: boolean;
  blocked: boolean;
  /** What the guest wrote last; 0 after ACCEPT. */
  tag: number;
}

/** A TD as whoever reads the specification would describe it. */
export class ModelTd {
  readonly mappings = new Map<number, Mapping>();
  /** Tables by `level:gpa`, with their page. */
  readonly tables = new Map<string, number>();
  readonly tdcx: number[] = [];
  readonly vps: { readonly tdvpr: number; readonly pages: number[]; initialised: boolean }[] = [];
  readonly measured = new Mrtd();
  lifecycle: Lifecycle = 0;
  opState: OpState = 0;

  constructor(
    readonly tdr: number,
    readonly hkid: number,
    /** In every byte that its guest writes. */
    readonly tag: number,
  ) {}

  /** All pages that it owns but the TDR. */
  pages(): number[] {
    const control = this.vps.flatMap(({ pages }) => pages);
    return [...this.tdcx, ...control, ...this.tables.values(), ...[...this.mappings.values()].map(({ hpa }) => hpa)];
  }
}
