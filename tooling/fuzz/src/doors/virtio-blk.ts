import { type BlockBackend, VirtioBlk, VirtioMmio } from "@vm/devices";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { MEMORY, RingDriver } from "../rings/driver.js";
import { RingHost } from "../rings/ring-host.js";

const ACTS = 150;
const SECTORS = 4096;
const PIECE = 256 * 1024;

/** A disk that answers at once, late, or not well, and looks at what it is asked. */
class AnyDisk implements BlockBackend {
  readonly sectors = SECTORS;
  readonly readonly: boolean;
  readonly #random: Random;
  readonly #pending: { readonly bytes: number; readonly settle: (failed: boolean) => void }[] = [];

  constructor(random: Random) {
    this.#random = random;
    this.readonly = random.chance(20);
  }

  get pending(): number {
    return this.#pending.length;
  }

  /** Bytes of buffers it has. */
  get held(): number {
    return this.#pending.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  read(sector: number, dst: Uint8Array): void | Promise<void> {
    return this.#answer(sector, dst.length, () => dst.fill(0xdd));
  }

  write(sector: number, src: Uint8Array): void | Promise<void> {
    if (this.readonly) throw new Violation("write to a read-only disk", `sector ${sector}`);
    return this.#answer(sector, src.length, () => undefined);
  }

  flush(): void | Promise<void> {
    return this.#answer(0, 0, () => undefined);
  }

  /** Finishes one of the calls that wait; what follows from it happens before this resolves. */
  async settle(): Promise<void> {
    const [call] = this.#pending.splice(this.#random.below(this.#pending.length), 1);
    call?.settle(this.#random.chance(10));
    for (let k = 0; k < 4; k++) await Promise.resolve();
  }

  #answer(sector: number, bytes: number, work: () => void): void | Promise<void> {
    if (sector + bytes / 512 > SECTORS || bytes % 512 !== 0)
      throw new Violation("beyond the disk", `${bytes} bytes at sector ${sector}`);
    if (this.#random.chance(5)) throw new Error("the disk failed");
    if (this.#random.chance(40)) return work();
    return new Promise((resolve, reject) => {
      this.#pending.push({
        bytes,
        settle: (failed) => {
          if (failed) reject(new Error("the disk failed late"));
          else resolve(work());
        },
      });
    });
  }
}

/** The header of a request: types that exist, sectors about the end. */
function header(random: Random): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, random.chance(90) ? random.pick([0, 1, 0, 1, 4, 8]) : random.word(), true);
  view.setUint32(8, random.chance(90) ? random.below(SECTORS + 8) : random.word(), true);
  view.setUint32(12, random.chance(97) ? 0 : random.word(), true);
  return bytes;
}

/** Rings of a disk. */
export const virtioBlk: Door = {
  name: "virtio-blk",
  summary:
    "the ring of a disk: any descriptors and indexes, resets at any moment, a disk that answers late or not well",
  check: async (seed) => {
    const random = new Random(seed);
    const host = new RingHost(MEMORY);
    const disk = new AnyDisk(random);
    const depth = random.pick([1, 2, 16]);
    const errors: unknown[] = [];
    const device = new VirtioBlk({ backend: disk, depth, onError: (error) => errors.push(error) });
    const mmio = new VirtioMmio({ device, memory: host, irq: host, turns: host });
    const driver = new RingDriver(random, host, mmio, { queues: 1, header });
    driver.start();
    for (let k = 0; k < ACTS; k++) {
      if (random.chance(60)) driver.act();
      if (random.chance(60)) host.turn();
      if (disk.pending > 0 && random.chance(40)) await disk.settle();
      if (disk.pending > depth || disk.held > depth * PIECE)
        throw new Violation("too much in flight", `${disk.pending} calls with ${disk.held} bytes, depth ${depth}`);
      if (host.begun !== disk.pending)
        throw new Violation("miscounted", `${host.begun} begun, ${disk.pending} pending`);
    }
    // After a reset nothing of before touches memory or the line.
    host.access(() => mmio.mmioWrite(0x70, 4, 0));
    const before = host.bytes.slice();
    while (disk.pending > 0) {
      await disk.settle();
      while (host.turn());
    }
    if (host.level || Buffer.compare(before, host.bytes) !== 0) throw new Violation("alive after reset", "");
    for (const error of errors) if (error instanceof Violation) throw error;
    return { sums: { "requests given back": host.given } };
  },
};
