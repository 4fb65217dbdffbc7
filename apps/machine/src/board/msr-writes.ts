import type { GuestMemory, Turns } from "@vm/devices";
import type { ClockMode } from "../clock.js";
import type { VcpuHandle } from "../vcpu-handle.js";
import type { MsrProvider } from "./additions.js";

export interface MsrWritesDesc {
  readonly memory: GuestMemory;
  readonly turns: Turns;
  readonly clock: { readonly mode: ClockMode };
}

/** A processor's writes of MSRs that were added: those that reach memory wait until it has arrived, and their processor with them. */
export class MsrWrites {
  readonly #desc: MsrWritesDesc;
  /** Counts resets, to tell the writes of before from those of after. */
  #epoch = 0;

  constructor(desc: MsrWritesDesc) {
    this.#desc = desc;
  }

  /** @returns false: #GP */
  write(provider: MsrProvider, vcpu: VcpuHandle, value: bigint): boolean {
    const { memory, turns, clock } = this.#desc;
    const range = provider.reaches?.(vcpu, value) ?? null;
    const epoch = this.#epoch;
    let release = (): void => undefined;
    const late = (): void => {
      release();
      if (epoch === this.#epoch) provider.write(vcpu, value);
    };
    if (range === null || (memory.ready?.(range.gpa, range.size, () => turns.later(late)) ?? true))
      return provider.write(vcpu, value);
    // Where time is counted the whole machine stands still, and the slice goes on behind it as if nothing had been.
    if (clock.mode === "host") release = vcpu.hold();
    vcpu.cpu.kick();
    return true;
  }

  /** The processor is reset: what it wrote before does not happen any more. */
  reset(): void {
    this.#epoch++;
  }
}
