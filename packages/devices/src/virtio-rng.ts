import { read } from "./state.js";
import type { VirtioDevice, VirtioHost } from "./virtio-device.js";
import { WorkBudget } from "./work-budget.js";

/** Where random bytes come from. */
export interface Entropy {
  /** Fills `dst` (at most 16 KiB) with random bytes. */
  fill(dst: Uint8Array): void;
}

export interface VirtioRngDesc {
  readonly entropy: Entropy;
}

const QUEUE = 0;
const QUEUE_SIZE = 64;
/** Bytes of a request that are filled: the device may fill a buffer partly, and no driver needs more at once. */
const MAX_BYTES = 16 * 1024;
/** Bytes of a turn. */
const TURN_BYTES = 16 * 1024;
const nothing = read.record<Record<string, never>>({});

/**
 * A virtio entropy device (virtio 1.2, 5.4), device ID 4, one queue of 64.
 * A request gets at most 16 KiB, and so does a turn. It has no features, no configuration and no state.
 */
export class VirtioRng implements VirtioDevice<Record<string, never>> {
  readonly deviceId = 4;
  readonly features = 0;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(0);
  #host: VirtioHost | null = null;
  readonly #desc: VirtioRngDesc;

  constructor(desc: VirtioRngDesc) {
    this.#desc = desc;
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }

  work(): boolean {
    const budget = new WorkBudget(TURN_BYTES);
    while (!budget.spent) {
      const chain = this.#host?.take(QUEUE);
      if (!chain) return false;
      const bytes = new Uint8Array(Math.min(chain.writableLength, MAX_BYTES));
      this.#desc.entropy.fill(bytes);
      budget.spend(chain, bytes.length);
      if (chain.write(0, bytes)) this.#host?.give(QUEUE, chain, bytes.length);
      else this.#host?.fail();
    }
    return true;
  }

  reset(): void {}

  save(): Record<string, never> {
    return {};
  }

  readState(value: unknown, path?: string): Record<string, never> {
    return nothing(value, path);
  }

  restore(state: Record<string, never>): void {
    nothing(state);
  }
}
