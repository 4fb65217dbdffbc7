import type { DescriptorChain } from "./descriptor-chain.js";
import { read } from "./state.js";
import type { VirtioDevice, VirtioHost } from "./virtio-device.js";
import { WorkBudget } from "./work-budget.js";

/** Bytes of a sector; every number of sectors counts these. */
export const SECTOR_SIZE = 512;

/**
 * The disk behind the device. A call may finish at once or through a promise; throwing or rejecting is an I/O error. Several calls may be under
 * way at a time, and may finish in any order.
 */
export interface BlockBackend {
  /** Capacity in sectors of 512 bytes. */
  readonly sectors: number;
  readonly readonly: boolean;
  /** Fills `dst` (a multiple of 512 bytes) from `sector` on. */
  read(sector: number, dst: Uint8Array): void | Promise<void>;
  /** Stores `src` (a multiple of 512 bytes) from `sector` on. `src` is the backend's until it is done. */
  write(sector: number, src: Uint8Array): void | Promise<void>;
  /** Makes every write that had finished when it was called durable. */
  flush(): void | Promise<void>;
}

export interface VirtioBlkDesc {
  readonly backend: BlockBackend;
  /** What GET_ID says, up to 20 bytes of ASCII (default empty). */
  readonly serial?: string;
  /** Hears of every error of the backend; the guest is told VIRTIO_BLK_S_IOERR. */
  readonly onError?: (error: unknown) => void;
  /**
   * Requests in flight at most, 1 to 256 (default 16); others wait in the queue. With 1 they are done one after the other, so that what the guest sees does not
   * depend on how long each takes.
   */
  readonly depth?: number;
}

export interface VirtioBlkState {
  /** Requests taken and not finished: they are done again after a restore, which changes nothing if they were done. */
  readonly inFlight: readonly number[];
}

/** A request in flight. */
interface Request {
  readonly chain: DescriptorChain;
  readonly type: number;
  /** Where it begins on the disk, and how many bytes it moves (0 for those that move none). */
  readonly sector: number;
  readonly length: number;
  /** Bytes that have moved. */
  done: number;
  /** What is being moved; null before the first piece. */
  piece: Uint8Array | null;
  /** The backend has done what it was asked last. */
  landed: boolean;
  error: { readonly reason: unknown } | null;
}

const QUEUE = 0;
const QUEUE_SIZE = 256;
const F_SEG_MAX = 1 << 2;
const F_RO = 1 << 5;
const F_BLK_SIZE = 1 << 6;
const F_FLUSH = 1 << 9;
const T_IN = 0;
const T_OUT = 1;
const T_FLUSH = 4;
const T_GET_ID = 8;
const S_OK = 0;
const S_IOERR = 1;
const S_UNSUPP = 2;
const HEADER = 16;
const ID_SIZE = 20;
/**
 * Requests move in pieces of at most this many bytes, so that no request makes the host allocate what the guest says: all in flight
 * take at most `depth` times as much.
 */
const PIECE = 256 * 1024;
/** Bytes of a turn. */
const TURN_BYTES = 1024 * 1024;
const DEPTH = 16;
const shape = read.record<VirtioBlkState>({ inFlight: read.list(read.integer(0, QUEUE_SIZE - 1), 0, QUEUE_SIZE) });

/**
 * A virtio block device (virtio 1.2, 5.2), device ID 2, one queue of 256.
 *
 * Features: SEG_MAX (254), RO (if the backend is read-only), BLK_SIZE (512), FLUSH. Requests: IN, OUT, FLUSH, GET_ID; others
 * are answered UNSUPP. A request beyond the capacity, not of whole sectors, or writing to a read-only disk is IOERR.
 * Up to `depth` requests are in flight at a time and may finish in any order. A buffer that cannot be reached is no error of a request but one of the
 * driver: DEVICE_NEEDS_RESET. After a reset nothing more of the requests before it reaches the guest, and new ones wait until the backend has let go
 * of those.
 * Not emulated: discard, write zeroes, lifetime, zones, several queues, the write-cache toggle (the cache is write-back).
 */
export class VirtioBlk implements VirtioDevice<VirtioBlkState> {
  readonly deviceId = 2;
  readonly features: number;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(24);
  readonly #backend: BlockBackend;
  readonly #depth: number;
  #host: VirtioHost | null = null;
  readonly #inFlight = new Set<Request>();
  /** Those that can go on: the backend waits for them, not they for it. */
  #ready: Request[] = [];
  /** Those the backend is busy with, of before a reset as well. */
  readonly #busy = new Set<Request>();
  /** Heads of the requests to take again after a restore. */
  #again: number[] = [];
  /** Buffers of {@link PIECE} bytes that nobody uses. */
  readonly #spare: ArrayBuffer[] = [];
  readonly #desc: VirtioBlkDesc;

  /** @throws {RangeError} if the capacity is not a number of sectors below 2^44, the serial longer than 20 bytes, or the depth not 1 to 256. */
  constructor(desc: VirtioBlkDesc) {
    this.#desc = desc;
    const { backend, serial = "", depth = DEPTH } = desc;
    const { sectors, readonly } = backend;
    if (!Number.isInteger(sectors) || sectors < 0 || sectors >= 2 ** 44)
      throw new RangeError(`a disk of ${sectors} sectors: expected an integer within 0-2^44`);
    if (serial.length > ID_SIZE) throw new RangeError(`serial "${serial}" is longer than ${ID_SIZE} bytes`);
    if (!Number.isInteger(depth) || depth < 1 || depth > QUEUE_SIZE)
      throw new RangeError(`${depth} requests in flight: expected an integer within 1-${QUEUE_SIZE}`);
    this.#backend = backend;
    this.#depth = depth;
    this.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (readonly ? F_RO : 0);
    const view = new DataView(this.config.buffer);
    view.setUint32(0, sectors % 2 ** 32, true);
    view.setUint32(4, Math.floor(sectors / 2 ** 32), true);
    view.setUint32(12, QUEUE_SIZE - 2, true);
    view.setUint32(20, SECTOR_SIZE, true);
  }

  connect(host: VirtioHost): void {
    this.#host = host;
  }

  work(): boolean {
    const budget = new WorkBudget(TURN_BYTES);
    while (!budget.spent) {
      const request = this.#ready.shift() ?? this.#take(budget);
      if (request === null) return false;
      if (request !== undefined) this.#advance(request, budget);
    }
    return true;
  }

  reset(): void {
    for (const request of this.#inFlight) if (!this.#busy.has(request)) this.#release(request);
    this.#inFlight.clear();
    this.#ready = [];
    this.#again = [];
  }

  save(): VirtioBlkState {
    return { inFlight: [...[...this.#inFlight].map(({ chain }) => chain.head), ...this.#again] };
  }

  readState(value: unknown, path?: string): VirtioBlkState {
    return shape(value, path);
  }

  restore(state: VirtioBlkState): void {
    const { inFlight } = shape(state);
    this.reset();
    this.#again = [...inFlight];
  }

  /** The next request of the queue; null if there is none or it has to wait, undefined if it is finished already. */
  #take(budget: WorkBudget): Request | null | undefined {
    if (this.#inFlight.size >= this.#depth || !this.#host) return null;
    for (const { chain } of this.#busy) if (!chain.live) return null;
    const [head] = this.#again;
    const chain = head === undefined ? this.#host.take(QUEUE) : this.#host.retake(QUEUE, head);
    if (chain === null) return null;
    if (head !== undefined) this.#again.shift();
    budget.spend(chain, 0);
    const header = new Uint8Array(HEADER);
    if (chain.writableLength < 1 || !chain.read(0, header)) {
      this.#host.fail();
      return null;
    }
    const view = new DataView(header.buffer);
    const type = view.getUint32(0, true);
    const sector = view.getUint32(12, true) * 2 ** 32 + view.getUint32(8, true);
    const moved = type === T_IN ? chain.writableLength - 1 : chain.readableLength - HEADER;
    const length = type === T_IN || type === T_OUT ? moved : 0;
    const request: Request = { chain, type, sector, length, done: 0, piece: null, landed: false, error: null };
    this.#inFlight.add(request);
    const fits = length % SECTOR_SIZE === 0 && sector + length / SECTOR_SIZE <= this.#backend.sectors;
    if (type === T_FLUSH) return request;
    if (type === T_GET_ID) this.#getId(request);
    else if (type !== T_IN && type !== T_OUT) this.#finish(request, S_UNSUPP, 0);
    else if (!fits || (type === T_OUT && this.#backend.readonly)) this.#finish(request, S_IOERR, 0);
    else if (length === 0) this.#finish(request, S_OK, 0);
    else return request;
    return undefined;
  }

  #getId(request: Request): void {
    const { chain } = request;
    const id = new Uint8Array(Math.min(ID_SIZE, chain.writableLength - 1));
    id.set(new TextEncoder().encode(this.#desc.serial ?? "").subarray(0, id.length));
    if (chain.write(0, id)) this.#finish(request, S_OK, id.length);
    else this.#abandon(request);
  }

  /** Takes what the backend has done, if it has, and asks it for the next piece, if there is one. */
  #advance(request: Request, budget: WorkBudget): void {
    const { chain, type, piece, error } = request;
    // Each piece is copied once: what is read when it has come, what is written before it goes.
    const moved = type === T_IN && request.landed ? (piece?.length ?? 0) : 0;
    budget.spend(chain, moved);
    if (error !== null) {
      this.#desc.onError?.(error.reason);
      this.#finish(request, S_IOERR, 0);
      return;
    }
    if (request.landed) {
      request.landed = false;
      if (type === T_IN && piece !== null && !chain.write(request.done, piece)) {
        this.#abandon(request);
        return;
      }
      request.done += piece?.length ?? 0;
      if (request.done === request.length) {
        this.#finish(request, S_OK, type === T_IN ? request.length : 0);
        return;
      }
    }
    if (type === T_FLUSH) {
      this.#ask(request, () => this.#backend.flush());
      return;
    }
    const next = new Uint8Array(this.#buffer(piece), 0, Math.min(PIECE, request.length - request.done));
    request.piece = next;
    const sector = request.sector + request.done / SECTOR_SIZE;
    if (type === T_OUT) budget.spend(chain, next.length);
    if (type === T_IN) this.#ask(request, () => this.#backend.read(sector, next));
    else if (chain.read(HEADER + request.done, next)) this.#ask(request, () => this.#backend.write(sector, next));
    else this.#abandon(request);
  }

  #buffer(piece: Uint8Array | null): ArrayBufferLike {
    return piece?.buffer ?? this.#spare.pop() ?? new ArrayBuffer(PIECE);
  }

  /** Calls the backend. What follows is for `advance`, in this turn or a later one. */
  #ask(request: Request, work: () => void | Promise<void>): void {
    let pending: Promise<void> | null = null;
    try {
      // What finishes at once may have a value of no interest.
      const outcome: unknown = work();
      pending = outcome instanceof Promise ? outcome : null;
    } catch (reason) {
      request.error = { reason };
    }
    if (pending === null) {
      request.landed = true;
      this.#ready.unshift(request);
      return;
    }
    this.#busy.add(request);
    const done = this.#host?.begin();
    const landed = (error: Request["error"]): void => {
      this.#busy.delete(request);
      request.landed = true;
      request.error = error;
      if (this.#inFlight.has(request)) this.#ready.push(request);
      else this.#release(request);
      this.#host?.wake();
      done?.();
    };
    pending.then(
      () => landed(null),
      (reason: unknown) => landed({ reason }),
    );
  }

  /** A buffer cannot be reached: the request is never finished. */
  #abandon(request: Request): void {
    this.#inFlight.delete(request);
    this.#release(request);
    this.#host?.fail();
  }

  /** Stores the status in the last writable byte; it counts as written only if the data before it was. */
  #finish(request: Request, status: number, data: number): void {
    const { chain } = request;
    this.#inFlight.delete(request);
    this.#release(request);
    const last = chain.writableLength - 1;
    if (!chain.write(last, Uint8Array.of(status))) this.#host?.fail();
    else this.#host?.give(QUEUE, chain, data === last ? data + 1 : data);
  }

  #release(request: Request): void {
    const buffer = request.piece?.buffer;
    request.piece = null;
    if (buffer instanceof ArrayBuffer) this.#spare.push(buffer);
  }
}
