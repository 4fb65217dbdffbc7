import type { DescriptorChain } from "./descriptor-chain.js";
import { takeAll, type VirtioDevice, type VirtioHost } from "./virtio-device.js";

export interface VirtioConsoleDesc {
  /** Gets what the guest sends, in its order; the array is the receiver's. */
  readonly onTransmit: (bytes: Uint8Array) => void;
  /** Size of the terminal in characters (default 80 x 25). */
  readonly columns?: number;
  readonly rows?: number;
}

export interface VirtioConsoleState {
  readonly columns: number;
  readonly rows: number;
  readonly waiting: Uint8Array;
}

const QUEUE_SIZE = 64;
const RX = 0;
const TX = 1;
const F_SIZE = 1 << 0;
const PIECE = 64 * 1024;

/**
 * A virtio console (virtio 1.2, 5.3), device ID 3: port 0 with its receive queue 0 and transmit queue 1.
 *
 * Features: SIZE. Host input waits until the guest offers buffers; it is never dropped, not even by a reset.
 * Not emulated: multiple ports, emergency write.
 */
export class VirtioConsole implements VirtioDevice<VirtioConsoleState> {
  readonly deviceId = 3;
  readonly features = F_SIZE;
  readonly queueSizes = [QUEUE_SIZE, QUEUE_SIZE];
  readonly config = new Uint8Array(4);
  private readonly view = new DataView(this.config.buffer);
  private host: VirtioHost | null = null;
  /** Host input the guest has no buffer for yet, oldest first from byte `head`. */
  private waiting: Uint8Array[] = [];
  private head = 0;

  constructor(private readonly desc: VirtioConsoleDesc) {
    this.setSize(desc.columns ?? 80, desc.rows ?? 25);
  }

  connect(host: VirtioHost): void {
    this.host = host;
  }

  /** Host input: takes all of `bytes` (a copy). */
  receive(bytes: Uint8Array): void {
    if (bytes.length > 0) this.waiting.push(bytes.slice());
    this.deliver();
  }

  /** The terminal has another size now, in characters (0-65535). */
  resize(columns: number, rows: number): void {
    this.setSize(columns, rows);
    this.host?.configChanged();
  }

  notify(queue: number): void {
    if (queue === RX) this.deliver();
    else if (this.host) for (const chain of takeAll(this.host, TX, QUEUE_SIZE)) this.transmit(chain);
  }

  reset(): void {}

  save(): VirtioConsoleState {
    const waiting = this.peek(this.backlog);
    return { columns: this.view.getUint16(0, true), rows: this.view.getUint16(2, true), waiting };
  }

  restore(state: VirtioConsoleState): void {
    this.setSize(state.columns, state.rows);
    this.waiting = state.waiting.length > 0 ? [state.waiting.slice()] : [];
    this.head = 0;
  }

  private get backlog(): number {
    return this.waiting.reduce((sum, chunk) => sum + chunk.length, 0) - this.head;
  }

  private setSize(columns: number, rows: number): void {
    this.view.setUint16(0, columns, true);
    this.view.setUint16(2, rows, true);
  }

  private transmit(chain: DescriptorChain): void {
    for (let at = 0; at < chain.readableLength; ) {
      const bytes = new Uint8Array(Math.min(PIECE, chain.readableLength - at));
      if (!chain.read(at, bytes)) {
        this.host?.fail();
        return;
      }
      this.desc.onTransmit(bytes);
      at += bytes.length;
    }
    this.host?.give(TX, chain, 0);
  }

  private deliver(): void {
    for (let left = QUEUE_SIZE; left > 0 && this.backlog > 0; left--) {
      const chain = this.host?.take(RX);
      if (!chain) return;
      const bytes = this.peek(Math.min(chain.writableLength, this.backlog));
      if (!chain.write(0, bytes)) {
        this.host?.fail();
        return;
      }
      this.drop(bytes.length);
      this.host?.give(RX, chain, bytes.length);
    }
  }

  /** The oldest `count` bytes that wait. */
  private peek(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    let at = 0;
    let from = this.head;
    for (const chunk of this.waiting) {
      const part = chunk.subarray(from, from + count - at);
      bytes.set(part, at);
      at += part.length;
      from = 0;
    }
    return bytes;
  }

  private drop(count: number): void {
    this.head += count;
    for (let first = this.waiting[0]; first && this.head >= first.length; first = this.waiting[0]) {
      this.head -= first.length;
      this.waiting.shift();
    }
  }
}
