import type { VcpuContext } from "../context/context.js";
import { acceptsMsr } from "../system-registers/msr.js";
import { VcpuStateError } from "./error.js";
import { refuse } from "./shape.js";
import type { VcpuState } from "./vcpu-state.js";

/** Bits of DR6 that can wait: B0-B3, BS. */
const DEBUG_TRAPS = 0x400f;

/** Non-register state as SDM vol. 3, 26.3.1.5 wants it. */
export function checkActivity({ activity, shadow, debugTraps }: VcpuState): void {
  // An interrupt would never end such a halt: the instruction that ends the shadow does not come.
  if (activity === "hlt" && shadow !== "none") refuse("state.shadow", shadow, "none is wanted, since it is halted");
  if (debugTraps & ~DEBUG_TRAPS) refuse("state.debugTraps", debugTraps, "bits 0 to 3 and 14 are there");
}

/** MSRs that WRMSR would set so, each once. */
export function checkMsrs({ msrs }: VcpuState, vcpu: VcpuContext): void {
  const seen = new Set<number>();
  for (const { number, value } of msrs) {
    const name = `MSR ${number.toString(16)}`;
    if (seen.has(number)) throw new VcpuStateError(`${name} is there twice`);
    seen.add(number);
    if (!acceptsMsr(vcpu, number, value.lo | 0, value.hi | 0))
      throw new VcpuStateError(
        `${name} does not exist here, or cannot hold ${value.hi.toString(16)}:${value.lo.toString(16)}`,
      );
  }
}
