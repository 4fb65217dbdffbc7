import type { CodeCache } from "../../code/cache.js";
import type { RunState, VcpuContext } from "../context/context.js";
import type { Interrupts } from "../events/interrupts.js";
import type { PendingEvents } from "../events/pending-events.js";
import type { RunLoop } from "../run/run-loop.js";
import { VcpuStateError } from "./error.js";
import { checkedState, restoreState } from "./restore.js";
import { saveState } from "./save.js";
import type { VcpuState } from "./vcpu-state.js";

/** What of a vCPU holds its state. */
export interface StateParts {
  readonly vcpu: VcpuContext & RunState;
  readonly events: PendingEvents;
  readonly interrupts: Interrupts;
  readonly loop: RunLoop;
}

/** The state of a vCPU as a whole; see `Vcpu.save` and `Vcpu.restore`. */
export class ArchitecturalState {
  readonly #parts: StateParts;
  readonly #code: CodeCache;

  constructor(parts: StateParts, code: CodeCache) {
    this.#parts = parts;
    this.#code = code;
  }

  save(): VcpuState {
    this.#mustNotRun();
    return saveState(this.#parts);
  }

  restore(state: VcpuState): void {
    this.#mustNotRun();
    restoreState(checkedState(state, this.#parts.vcpu), this.#parts);
    this.#code.reset();
  }

  #mustNotRun(): void {
    if (this.#parts.loop.running) throw new VcpuStateError("the vCPU is in the middle of an instruction", "running");
  }
}
