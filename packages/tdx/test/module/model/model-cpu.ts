import type { VmExit } from "../../../src/module/guest-cpu.js";
import { ScriptedCpu } from "../scripted-cpu.js";

/** A processor with a TLB: what it has seen once it uses until it is flushed. */
export class ModelCpu extends ScriptedCpu {
  /** Guest physical address -> physical address. */
  readonly tlb = new Map<number, number>();
  running = false;
  onRun: (() => VmExit) | undefined;
  readonly is64Bit = true;

  override flushTlb(): void {
    this.tlb.clear();
  }

  override run(): VmExit {
    this.running = true;
    try {
      return this.onRun?.() ?? { reason: "external-interrupt" };
    } finally {
      this.running = false;
    }
  }
}
