import { type GuestReader, type LinuxKernel, running, UnmappedError, type VcpuState } from "@vm/kvmi";
import { printable } from "../printable.js";

/** The process that a vCPU runs, as `name[pid]`. */
export async function who(kernel: LinuxKernel, reader: GuestReader, state: VcpuState): Promise<string> {
  try {
    const { name, pid } = await running(kernel, reader, state);
    return `${printable(name)}[${pid}]`;
  } catch (error) {
    // A guest may lead astray whoever looks; what it does is seen all the same.
    if (error instanceof UnmappedError) return "?[?]";
    throw error;
  }
}
