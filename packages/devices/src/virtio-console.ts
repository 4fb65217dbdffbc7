import { ByteQueue } from "./byte-queue.js";
import type { DescriptorChain } from "./descriptor-chain.js";
import { read } from "./state.js";
import type { VirtioDevice, VirtioHost } from "./virtio-device.js";
import { WorkBudget } from "./work-budget.js";

export interface VirtioConsoleDesc {
  /**
   * Gets what the guest sends, in its order, at most 64 KiB a call; the array is the receiver's. A receiver that cannot keep up returns a promise: nothing
   * more is read from the guest until that is settled, either way.
   */
  readonly onTransmit: (bytes: Uint8Array) => void | Promise<void>;
  /** Size of the terminal in characters (default 80 x 25). */
  readonly columns?: number;
  readonly rows?: number;
}

export interface VirtioConsoleState {
  readonly columns: number;
  readonly rows: number;
  readonly waiting: Uint8Array;
  /** What the guest is sending: first descriptor, and bytes of it that have been passed on. */
  readonly sending: { readonly head: number; readonly sent: number } | null;
}

const QUEUE_SIZE = 64;
const RX = 0;
const TX = 1;
const F_SIZE = 1 << 0;
const PIECE = 64 * 1024;
/** Bytes of a turn, each way. */
const TURN_BYTES = 64 * 1024;

const shape = read.record<VirtioConsoleState>({
  columns: read.u16,
  rows: read.u16,
  waiting: read.bytes(0, Number.POSITIVE_INFINITY),
  sending: read.nullOr(
    read.record<NonNullable<VirtioConsoleState["sending"]>>({ head: read.integer(0, QUEUE_SIZE - 1), sent: read.u32 }),
  ),
});

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
  readonly #view = new DataView(this.config.buffer);
  #host: VirtioHost | null = null;
  /** Host input the guest has no buffer for yet. */
  readonly #input = new ByteQueue();
  /** What the guest is sending, and how much of it has been passed on. */
  #sending: { readonly chain: DescriptorChain; sent: number } | null = null;
  /** What to go on with after a restore. */
  #resumed: VirtioConsoleState["sending"] = null;
  /** The receiver cannot take more just now. */
  #blocked = false;
  readonly #desc: VirtioConsoleDesc;

  constructor(desc: VirtioConsoleDesc) {
    this.#desc = desc;
    this.#setSize(desc.columns ?? 80, desc.rows ?? 25);
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }

  /** Host input: takes all of `bytes` (a copy). */
  receive(bytes: Uint8Array): void {
    this.#input.push(bytes.slice());
    this.#host?.wake();
  }

  /** The terminal has another size now, in characters (0-65535). */
  resize(columns: number, rows: number): void {
    this.#setSize(columns, rows);
    this.#host?.configChanged();
  }

  work(): boolean {
    const delivering = this.#deliver(new WorkBudget(TURN_BYTES));
    return this.#transmit(new WorkBudget(TURN_BYTES)) || delivering;
  }

  reset(): void {
    this.#sending = this.#resumed = null;
  }

  save(): VirtioConsoleState {
    const sending = this.#sending;
    return {
      columns: this.#view.getUint16(0, true),
      rows: this.#view.getUint16(2, true),
      waiting: this.#input.peek(this.#input.length),
      sending: sending?.chain.live ? { head: sending.chain.head, sent: sending.sent } : this.#resumed,
    };
  }

  readState(value: unknown, path?: string): VirtioConsoleState {
    return shape(value, path);
  }

  restore(saved: VirtioConsoleState): void {
    const state = shape(saved);
    this.#setSize(state.columns, state.rows);
    this.#input.clear();
    this.#input.push(state.waiting);
    this.#sending = null;
    this.#resumed = state.sending;
  }

  #setSize(columns: number, rows: number): void {
    this.#view.setUint16(0, columns, true);
    this.#view.setUint16(2, rows, true);
  }

  #transmit(budget: WorkBudget): boolean {
    while (!budget.spent) {
      if (this.#blocked) return false;
      this.#sending ??= this.#nextSent();
      if (this.#sending === null) return false;
      const { chain, sent } = this.#sending;
      const bytes = new Uint8Array(Math.min(PIECE, chain.readableLength - sent));
      budget.spend(chain, bytes.length);
      if (!chain.read(sent, bytes)) {
        this.#sending = null;
        this.#host?.fail();
        return false;
      }
      this.#sending.sent += bytes.length;
      if (this.#sending.sent === chain.readableLength) {
        this.#sending = null;
        this.#host?.give(TX, chain, 0);
      }
      if (bytes.length > 0) this.#pass(bytes);
    }
    return true;
  }

  #nextSent(): { readonly chain: DescriptorChain; sent: number } | null {
    const resumed = this.#resumed;
    const chain = resumed === null ? this.#host?.take(TX) : this.#host?.retake(TX, resumed.head);
    if (!chain) return null;
    this.#resumed = null;
    return { chain, sent: Math.min(resumed?.sent ?? 0, chain.readableLength) };
  }

  #pass(bytes: Uint8Array): void {
    const pending: unknown = this.#desc.onTransmit(bytes);
    if (!(pending instanceof Promise)) return;
    this.#blocked = true;
    const done = this.#host?.begin();
    const go = (): void => {
      this.#blocked = false;
      this.#host?.wake();
      done?.();
    };
    pending.then(go, go);
  }

  #deliver(budget: WorkBudget): boolean {
    while (this.#input.length > 0) {
      if (budget.spent) return true;
      const chain = this.#host?.take(RX);
      if (!chain) return false;
      const bytes = this.#input.peek(Math.min(chain.writableLength, TURN_BYTES));
      budget.spend(chain, bytes.length);
      if (!chain.write(0, bytes)) {
        this.#host?.fail();
        return false;
      }
      this.#input.drop(bytes.length);
      this.#host?.give(RX, chain, bytes.length);
    }
    return false;
  }
}
