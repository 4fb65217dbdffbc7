import { MachineError } from "../error.js";
import type { VcpuHandle, VcpuSurroundings } from "../vcpu-handle.js";

function refuse(): never {
  throw new MachineError("private", "the processor is a TD's: nobody looks into its registers and memory, or stops it");
}

/** A processor whose guest is a TD, as everybody but the TDX module has it: that it is there, what it is about, and that it can be kept from running. */
export function privateVcpuHandle(id: number, { state, hold }: Pick<VcpuSurroundings, "state" | "hold">): VcpuHandle {
  return {
    id,
    get state() {
      return state();
    },
    get cpu() {
      return refuse();
    },
    get memory() {
      return refuse();
    },
    get registers() {
      return refuse();
    },
    on: refuse,
    breakpoint: refuse,
    leave: refuse,
    inject: refuse,
    hold,
  };
}
