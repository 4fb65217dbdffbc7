import type { MmioSize, VirtioMmio, VirtioMmioState } from "@vm/devices";
import type { Random } from "../random.js";
import type { RingHost } from "./ring-host.js";

export const MEMORY = 2 ** 20;
/** Rings of queue n; tables of indirect descriptors and buffers lie between and behind them. */
const RINGS = [0x1_0000, 0x3_0000] as const;
const INDIRECT = 0x5_0000;
const BUFFERS = 0x8_0000;
const QUEUE_REGISTERS = [0x80, 0x84, 0x90, 0x94, 0xa0, 0xa4] as const;
const REGISTERS = [0x14, 0x20, 0x24, 0x30, 0x38, 0x44, 0x50, 0x64, 0x70, ...QUEUE_REGISTERS] as const;

/** A driver that knows how a virtio device is set up, and then does whatever comes to its mind. */
export class RingDriver<S> {
  readonly #random: Random;
  readonly #host: RingHost;
  readonly #queues: number;
  readonly mmio: VirtioMmio<S>;
  /** Where chains begin that were laid lately. */
  #heads: readonly number[] = [];
  #saved: VirtioMmioState<S> | null = null;
  /** Request headers are worth more than noise: writes one of 16 bytes. */
  readonly #header: (random: Random) => Uint8Array;

  constructor(
    random: Random,
    host: RingHost,
    mmio: VirtioMmio<S>,
    { queues, header }: { queues: number; header: (random: Random) => Uint8Array },
  ) {
    this.#random = random;
    this.#host = host;
    this.#queues = queues;
    this.#header = header;
    this.mmio = mmio;
  }

  /** One thing a guest may do. */
  act(): void {
    const random = this.#random;
    // What broke the device is behind it: on to the next.
    if ((this.mmio.mmioRead(0x70, 4) & 0x40) !== 0 && random.chance(60)) {
      this.start();
      return;
    }
    const acts: readonly (readonly [number, () => void])[] = [
      [3, () => this.start()],
      [20, () => this.#descriptors()],
      [15, () => this.#offer()],
      [25, () => this.#notify()],
      [3, () => this.#write(0x70, 0)],
      [8, () => this.#anyAccess()],
      [1, () => this.#noise()],
      [2, () => this.#saveOrRestore()],
    ];
    let left = random.below(acts.reduce((sum, [weight]) => sum + weight, 0));
    for (const [weight, act] of acts) {
      if (left < weight) {
        act();
        return;
      }
      left -= weight;
    }
  }

  /** Sets the device up, mostly as it should be. */
  start(): void {
    const random = this.#random;
    for (const status of [0, 1, 3]) this.#write(0x70, status);
    this.#write(0x24, 0);
    this.#write(0x20, random.chance(90) ? 0 : random.word());
    this.#write(0x24, 1);
    this.#write(0x20, random.chance(95) ? 1 : random.word());
    this.#write(0x70, 11);
    for (let queue = 0; queue < this.#queues; queue++) {
      this.#write(0x30, queue);
      this.#write(
        0x38,
        random.chance(90) ? 2 ** (5 + random.below(4)) : random.chance(60) ? 2 ** random.below(9) : random.word(),
      );
      const base = RINGS[queue % RINGS.length] ?? 0;
      for (const [k, register] of [0x80, 0x90, 0xa0].entries()) {
        this.#write(register, random.chance(97) ? base + 0x8000 * k : this.#address(false));
        this.#write(register + 4, random.chance(98) ? 0 : random.word());
      }
      this.#write(0x44, 1);
      // A fresh ring has nothing in it; what it had is left now and then.
      if (random.chance(80)) this.#host.bytes.fill(0, base + 0x8000, base + 0x1_8000);
    }
    this.#write(0x70, 15);
  }

  #descriptors(): void {
    const random = this.#random;
    const base = random.chance(75) ? (RINGS[random.below(this.#queues)] ?? 0) : INDIRECT;
    const from = random.below(200);
    if (base !== INDIRECT) this.#heads = [...this.#heads.slice(-7), from];
    const count = 2 + random.below(random.chance(10) ? 256 : 6);
    const sound = random.chance(85);
    const direction = random.pick([0, 2]);
    for (let k = 0; k < count; k++) {
      const at = base + 16 * ((from + k) & 0xff);
      const first = k === 0;
      const last = k === count - 1;
      const kept = sound || random.chance(85);
      this.#put(at, first && kept ? this.#headerAt() : this.#address(kept));
      this.#put(at + 4, kept || random.chance(98) ? 0 : random.word());
      this.#put(at + 8, first && kept ? 16 : last && kept ? 1 : this.#length(kept));
      const flags = kept ? (last ? 2 : 1 | (first ? 0 : direction)) : random.below(8);
      const next = kept || random.chance(95) ? (from + k + 1) & 0xff : random.below(300);
      this.#put(at + 12, flags | (next << 16));
    }
    if (base === INDIRECT) {
      const at = (RINGS[random.below(this.#queues)] ?? 0) + 16 * random.below(16);
      for (const [k, word] of [INDIRECT + 16 * from, 0, 16 * random.below(300), 4].entries())
        this.#put(at + 4 * k, word);
    }
  }

  #offer(): void {
    const random = this.#random;
    const ring = (RINGS[random.below(this.#queues)] ?? 0) + 0x8000;
    const { view } = this.#host;
    const index = view.getUint16(ring + 2, true);
    const count = random.chance(93) ? 1 + random.below(4) : random.below(300);
    for (let k = 0; k < Math.min(count, 256); k++)
      view.setUint16(
        ring + 4 + 2 * ((index + k) & 0xff),
        random.chance(95)
          ? (this.#heads[random.below(this.#heads.length)] ?? 0)
          : random.below(random.chance(50) ? 256 : 65536),
        true,
      );
    view.setUint16(ring + 2, random.chance(98) ? index + count : random.word(), true);
    view.setUint16(ring, random.below(2), true);
  }

  #notify(): void {
    const times = this.#random.chance(95) ? 1 : 100;
    for (let k = 0; k < times; k++)
      this.#write(0x50, this.#random.chance(95) ? this.#random.below(this.#queues) : this.#random.word());
  }

  #anyAccess(): void {
    const random = this.#random;
    const offset = random.chance(60) ? random.pick(REGISTERS) : random.below(0x200);
    const size = random.pick<MmioSize>([1, 2, 4, 4, 4]);
    this.#host.access(() => {
      if (random.chance(50)) this.mmio.mmioRead(offset, size);
      else this.mmio.mmioWrite(offset, size, random.chance(50) ? random.below(64) : random.word());
    });
  }

  #noise(): void {
    for (let k = 0; k < 64; k++) this.#put(RINGS[0] + 4 * random16(this.#random), this.#random.word());
  }

  #saveOrRestore(): void {
    if (this.#saved === null || this.#random.chance(60)) this.#saved = structuredClone(this.mmio.save());
    else this.mmio.restore(this.#saved);
  }

  #headerAt(): number {
    const at = BUFFERS + 16 * this.#random.below(256);
    this.#host.bytes.set(this.#header(this.#random), at);
    return at;
  }

  #address(sound: boolean): number {
    const random = this.#random;
    if (sound || random.chance(80)) return BUFFERS + 0x2000 + random.below(MEMORY - BUFFERS - 0x2_0000);
    return random.chance(60) ? random.below(MEMORY) : random.word();
  }

  #length(sound: boolean): number {
    const random = this.#random;
    if (sound || random.chance(60)) return 512 * random.below(random.chance(90) ? 8 : 128);
    return random.chance(70) ? random.below(4096) : random.pick([0, 0xffff_ffff, random.word(), MEMORY]);
  }

  #put(at: number, word: number): void {
    this.#host.view.setUint32(at, word >>> 0, true);
  }

  #write(register: number, value: number): void {
    this.#host.access(() => this.mmio.mmioWrite(register, 4, value >>> 0));
  }
}

const random16 = (random: Random): number => random.below(0x1_0000);
