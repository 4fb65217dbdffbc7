import { takeAll, type VirtioDevice, type VirtioHost } from "./virtio-device.js";

/** Where random bytes come from. */
export interface Entropy {
  /** Fills `dst` (at most 64 KiB) with random bytes. */
  fill(dst: Uint8Array): void;
}

export interface VirtioRngDesc {
  readonly entropy: Entropy;
}

const QUEUE_SIZE = 64;
/** The device may fill a buffer partly; no driver needs more at once. */
const MAX_BYTES = 64 * 1024;

/**
 * A virtio entropy device (virtio 1.2, 5.4), device ID 4, one queue of 64.
 * Every buffer is filled at once, with at most 64 KiB. It has no features, no configuration and no state.
 */
export class VirtioRng implements VirtioDevice<Record<string, never>> {
  readonly deviceId = 4;
  readonly features = 0;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(0);
  private host: VirtioHost | null = null;

  constructor(private readonly desc: VirtioRngDesc) {}

  connect(host: VirtioHost): void {
    this.host = host;
  }

  notify(queue: number): void {
    if (!this.host) return;
    for (const chain of takeAll(this.host, queue, QUEUE_SIZE)) {
      const bytes = new Uint8Array(Math.min(chain.writableLength, MAX_BYTES));
      this.desc.entropy.fill(bytes);
      if (chain.write(0, bytes)) this.host.give(queue, chain, bytes.length);
      else this.host.fail();
    }
  }

  reset(): void {}

  save(): Record<string, never> {
    return {};
  }

  restore(_state: Record<string, never>): void {}
}
