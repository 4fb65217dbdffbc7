import type { DescriptorChain } from "./descriptor-chain.js";
import { takeAll, type VirtioDevice, type VirtioHost } from "./virtio-device.js";

/** Bytes of a sector; every number of sectors counts these. */
export const SECTOR_SIZE = 512;

/** The disk behind the device. A call may finish at once or through a promise; throwing or rejecting is an I/O error. */
export interface BlockBackend {
  /** Capacity in sectors of 512 bytes. */
  readonly sectors: number;
  readonly readonly: boolean;
  /** Fills `dst` (a multiple of 512 bytes) from `sector` on. */
  read(sector: number, dst: Uint8Array): void | Promise<void>;
  /** Stores `src` (a multiple of 512 bytes) from `sector` on. `src` is the backend's until it is done. */
  write(sector: number, src: Uint8Array): void | Promise<void>;
  /** Makes every write that has finished durable. */
  flush(): void | Promise<void>;
}

export interface VirtioBlkDesc {
  readonly backend: BlockBackend;
  /** What GET_ID says, up to 20 bytes of ASCII (default empty). */
  readonly serial?: string;
  /** Hears of every error of the backend; the guest is told VIRTIO_BLK_S_IOERR. */
  readonly onError?: (error: unknown) => void;
}

export interface VirtioBlkState {
  /** Requests taken and not finished: they are done again after a restore, which changes nothing if they were done. */
  readonly inFlight: readonly number[];
}

interface Request {
  readonly chain: DescriptorChain;
  readonly write: boolean;
  readonly sector: number;
  /** Data bytes, and how many of them have moved. */
  readonly length: number;
  done: number;
  readonly buffer: Uint8Array;
}

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
/** Requests move in pieces of at most this many bytes, so that no request makes the host allocate what the guest says. */
const PIECE = 128 * 1024;

/**
 * A virtio block device (virtio 1.2, 5.2), device ID 2, one queue of 256.
 *
 * Features: SEG_MAX (254), RO (if the backend is read-only), BLK_SIZE (512), FLUSH. Requests: IN, OUT, FLUSH, GET_ID; others
 * are answered UNSUPP. A request beyond the capacity, not of whole sectors, or writing to a read-only disk is IOERR.
 * Requests run concurrently if the backend is asynchronous and may finish in any order; a request that the backend finishes
 * at once is finished within the notification. A buffer that cannot be reached is no error of a request but one of the driver: DEVICE_NEEDS_RESET.
 * Not emulated: discard, write zeroes, lifetime, zones, several queues, the write-cache toggle (the cache is write-back).
 */
export class VirtioBlk implements VirtioDevice<VirtioBlkState> {
  readonly deviceId = 2;
  readonly features: number;
  readonly queueSizes = [QUEUE_SIZE];
  readonly config = new Uint8Array(24);
  private readonly backend: BlockBackend;
  private host: VirtioHost | null = null;
  private readonly inFlight = new Set<DescriptorChain>();

  /** @throws {RangeError} if the capacity is not a number of sectors below 2^44, or the serial longer than 20 bytes. */
  constructor(private readonly desc: VirtioBlkDesc) {
    const { sectors, readonly } = desc.backend;
    if (!Number.isInteger(sectors) || sectors < 0 || sectors >= 2 ** 44)
      throw new RangeError(`a disk of ${sectors} sectors: expected an integer within 0-2^44`);
    if ((desc.serial ?? "").length > ID_SIZE)
      throw new RangeError(`serial "${desc.serial}" is longer than ${ID_SIZE} bytes`);
    this.backend = desc.backend;
    this.features = F_SEG_MAX | F_BLK_SIZE | F_FLUSH | (readonly ? F_RO : 0);
    const view = new DataView(this.config.buffer);
    view.setUint32(0, sectors % 2 ** 32, true);
    view.setUint32(4, Math.floor(sectors / 2 ** 32), true);
    view.setUint32(12, QUEUE_SIZE - 2, true);
    view.setUint32(20, SECTOR_SIZE, true);
  }

  connect(host: VirtioHost): void {
    this.host = host;
  }

  notify(queue: number): void {
    if (this.host) for (const chain of takeAll(this.host, queue, QUEUE_SIZE)) this.begin(chain);
  }

  reset(): void {
    this.inFlight.clear();
  }

  save(): VirtioBlkState {
    return { inFlight: [...this.inFlight].map((chain) => chain.head) };
  }

  restore(state: VirtioBlkState): void {
    this.inFlight.clear();
    for (const head of state.inFlight) {
      const chain = this.host?.retake(0, head);
      if (chain) this.begin(chain);
    }
  }

  private begin(chain: DescriptorChain): void {
    const header = new Uint8Array(HEADER);
    // A driver never has more requests in flight than its queue has entries: that bounds the memory they take here.
    const crowded = this.inFlight.size >= QUEUE_SIZE;
    if (crowded || chain.writableLength < 1 || !chain.read(0, header)) {
      this.host?.fail();
      return;
    }
    this.inFlight.add(chain);
    const view = new DataView(header.buffer);
    const type = view.getUint32(0, true);
    const sector = view.getUint32(12, true) * 2 ** 32 + view.getUint32(8, true);
    if (type === T_IN) this.beginTransfer(chain, false, sector, chain.writableLength - 1);
    else if (type === T_OUT) this.beginTransfer(chain, true, sector, chain.readableLength - HEADER);
    else if (type === T_FLUSH)
      this.attempt(
        chain,
        () => this.backend.flush(),
        () => this.finish(chain, S_OK, 0),
      );
    else if (type === T_GET_ID) this.getId(chain);
    else this.finish(chain, S_UNSUPP, 0);
  }

  private getId(chain: DescriptorChain): void {
    const id = new Uint8Array(Math.min(ID_SIZE, chain.writableLength - 1));
    id.set(new TextEncoder().encode(this.desc.serial ?? "").subarray(0, id.length));
    if (chain.write(0, id)) this.finish(chain, S_OK, id.length);
    else this.abandon(chain);
  }

  private beginTransfer(chain: DescriptorChain, write: boolean, sector: number, length: number): void {
    const fits = length % SECTOR_SIZE === 0 && sector + length / SECTOR_SIZE <= this.backend.sectors;
    if (!fits || (write && this.backend.readonly)) this.finish(chain, S_IOERR, 0);
    else this.transfer({ chain, write, sector, length, done: 0, buffer: new Uint8Array(Math.min(length, PIECE)) });
  }

  /** Moves piece after piece; returns early when the backend takes its time, and is called again then. */
  private transfer(request: Request): void {
    const { chain, write, length, buffer } = request;
    for (let waiting = false; !waiting; ) {
      if (request.done === length) {
        this.finish(chain, S_OK, write ? 0 : length);
        return;
      }
      const piece = buffer.subarray(0, Math.min(buffer.length, length - request.done));
      const sector = request.sector + request.done / SECTOR_SIZE;
      if (write && !chain.read(HEADER + request.done, piece)) {
        this.abandon(chain);
        return;
      }
      const landed = (): boolean => {
        if (!write && !chain.write(request.done, piece)) {
          this.abandon(chain);
          return false;
        }
        request.done += piece.length;
        return true;
      };
      const outcome = this.attempt(
        chain,
        () => (write ? this.backend.write(sector, piece) : this.backend.read(sector, piece)),
        (late) => {
          if (landed() && late) this.transfer(request);
        },
      );
      waiting = outcome === "waiting" || !this.inFlight.has(chain);
    }
  }

  /** Calls the backend; `then` follows at once or later (`late`), or the request ends with an I/O error. */
  private attempt(
    chain: DescriptorChain,
    work: () => void | Promise<void>,
    then: (late: boolean) => void,
  ): "done" | "waiting" {
    let pending: void | Promise<void>;
    try {
      pending = work();
    } catch (error) {
      this.refuse(chain, error);
      return "done";
    }
    if (!pending) {
      then(false);
      return "done";
    }
    pending.then(
      () => then(true),
      (error: unknown) => this.refuse(chain, error),
    );
    return "waiting";
  }

  private refuse(chain: DescriptorChain, error: unknown): void {
    this.desc.onError?.(error);
    this.finish(chain, S_IOERR, 0);
  }

  /** A buffer cannot be reached: the request is never finished. */
  private abandon(chain: DescriptorChain): void {
    if (this.inFlight.delete(chain)) this.host?.fail();
  }

  /** Stores the status in the last writable byte; it counts as written only if the data before it was. */
  private finish(chain: DescriptorChain, status: number, data: number): void {
    if (!this.inFlight.delete(chain)) return;
    const last = chain.writableLength - 1;
    if (!chain.write(last, Uint8Array.of(status))) this.host?.fail();
    else this.host?.give(0, chain, data === last ? data + 1 : data);
  }
}
