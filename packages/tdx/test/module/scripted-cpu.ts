import { Gpr } from "../../src/module/gpr.js";
import type { GuestCpu, InitialState, VmExit } from "../../src/module/guest-cpu.js";

/** A processor whose guest does what the test says: `script` is what the next runs are. */
export class ScriptedCpu implements GuestCpu {
  readonly registers = new BigUint64Array(16);
  readonly xmmBytes = new Uint8Array(256);
  readonly gpr = {
    get: (index: number) => this.registers[index] ?? 0n,
    set: (index: number, value: bigint) => {
      this.registers[index] = value;
    },
  };
  readonly xmm = {
    get: (to: Uint8Array) => to.set(this.xmmBytes),
    set: (from: Uint8Array) => this.xmmBytes.set(from),
  };
  cpl = 0;
  cr0 = 0n;
  cr3 = 0n;
  cr4 = 0n;
  efer = 0n;
  rip = 0n;
  instructionLength = 4;
  state: InitialState | undefined;
  flushes = 0;
  runs = 0;
  readonly injected: { vector: number; errorCode: number | null }[] = [];
  readonly script: (() => VmExit)[] = [];

  reset(state: InitialState): void {
    this.state = state;
    this.registers.set(state.gprs);
    ({ cr0: this.cr0, cr4: this.cr4, efer: this.efer, rip: this.rip } = state);
  }

  inject(vector: number, errorCode: number | null): void {
    this.injected.push({ vector, errorCode });
  }

  flushTlb(): void {
    this.flushes++;
  }

  run(): VmExit {
    this.runs++;
    return this.script.shift()?.() ?? { reason: "external-interrupt" };
  }

  /** The next run ends with a TDVMCALL that hands over what `mask` selects. */
  vmcall(mask: bigint): void {
    this.script.push(() => {
      this.registers[Gpr.Rcx] = mask;
      return { reason: "tdcall" };
    });
  }
}
