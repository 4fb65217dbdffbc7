import { Gpr } from "./gpr.js";
import type { InitialState } from "./guest-cpu.js";
import type { Td } from "./td.js";

const REGISTERS = 16;
/** PE and NE, and ET, which is always one: protected mode with 32 bits, without paging. */
const CR0 = 0x31n;
/** MCE and VMXE, which guests do not see. */
const CR4 = 0x2040n;
/** SCE, LME and NXE. */
const EFER = 0x901n;

/**
 * How a vCPU starts. Source: TDX module base architecture specification, "Initial State of Guest GPRs, CRs, DRs, XCR0 and MSRs".
 * @param rcx what the host gave to TDH.VP.INIT: for firmware, where the TD HOB is
 * @param family CPUID(1).EAX
 */
export function initialState(td: Td, index: number, rcx: bigint, family: number): InitialState {
  const gprs = new BigUint64Array(REGISTERS);
  gprs[Gpr.Rbx] = BigInt(td.gpaBits);
  gprs[Gpr.Rcx] = rcx;
  gprs[Gpr.Rdx] = BigInt(family >>> 0);
  gprs[Gpr.Rsi] = BigInt(index);
  gprs[Gpr.R8] = rcx;
  return {
    gprs,
    rip: 0xffff_fff0n,
    rflags: 2n,
    cr0: CR0,
    cr4: CR4,
    efer: EFER,
    dr6: 0xffff_0ff0n,
    dr7: 0x400n,
    pat: 0x0007_0406_0007_0406n,
    fmask: 0x2_0200n,
    xcr0: 1n,
    tableLimit: 0xffff,
  };
}
