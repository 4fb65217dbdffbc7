import * as S from "../../state.js";
import type { VcpuContext } from "../context/context.js";
import type { PendingEvents } from "../events/pending-events.js";
import type { Fetcher, FetchGuard } from "../memory/fetch.js";
import { Seg, Vector } from "../registers/constants.js";
import type { SegmentCache } from "../registers/segment-cache.js";
import { u64 } from "../registers/u64.js";

/** Bytes of the longest instruction. */
const MAX_INSN = 15;

/** Instructions looked at before they run: those in pages with breakpoints, and with the end of CS. */
export class CodeGuard implements FetchGuard {
  readonly #vcpu: VcpuContext;
  readonly #events: PendingEvents;
  /** The page at PC is executed an instruction at a time, each looked at first. */
  active = false;

  constructor(vcpu: VcpuContext, events: PendingEvents) {
    this.#vcpu = vcpu;
    this.#events = events;
  }

  guards(lo: number, hi: number): boolean {
    const { breakpoints, mode, segments } = this.#vcpu;
    if (breakpoints.onCodePage(lo, hi)) return true;
    if (mode === 64) return false;
    const { limit, baseLo } = segments[Seg.CS] as SegmentCache;
    if (limit === 0xffffffff) return false;
    const first = ((lo & ~0xfff) - baseLo) >>> 0;
    return first + 4095 + MAX_INSN > limit;
  }

  /** Code of a guarded page was reached: the run loop takes over, unless it leads already. */
  enterGuarded(): void {
    if (!this.active) this.#vcpu.endSlice();
  }

  /** Looks whether the instruction at PC must be looked at, and does. @returns whether it may run: else an exception or exit is pending */
  admits(fetcher: Fetcher): boolean {
    const vcpu = this.#vcpu;
    this.active = this.guards(vcpu.i32(S.PC), vcpu.i32(S.PC + 4));
    return this.#events.pending === null && (!this.active || this.#look(fetcher));
  }

  #look(fetcher: Fetcher): boolean {
    const vcpu = this.#vcpu;
    const lo = vcpu.i32(S.PC);
    const hi = vcpu.i32(S.PC + 4);
    if (!(vcpu.flags & S.RF) && !this.#events.stackShadow) {
      const mask = vcpu.breakpoints.code(lo, hi);
      if (mask !== 0) return vcpu.raiseDebugFault(mask);
    }
    if (vcpu.breakpoints.watched(lo, hi)) {
      vcpu.loadRip();
      vcpu.hooks.execute?.(u64(lo, hi));
      if (vcpu.leaving || vcpu.pending !== null) return false;
    }
    if (vcpu.mode === 64) return true;
    const { limit, baseLo } = vcpu.segments[Seg.CS] as SegmentCache;
    if (limit === 0xffffffff) return true;
    const offset = (lo - baseLo) >>> 0;
    const inside = offset <= limit && offset + fetcher.lengthAt(lo) - 1 <= limit;
    return inside || vcpu.raiseError(Vector.GP, 0);
  }
}
