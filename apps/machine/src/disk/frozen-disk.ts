import { SECTOR_SIZE } from "@vm/devices";
import type { Disk } from "./disk.js";
import { DiskError } from "./error.js";
import type { MachineDisk } from "./saved-disk.js";

/** Bytes of what was overwritten since, at most: then the machine goes on, and who still reads the frozen disk gets errors. */
const KEPT_MOST = 2 ** 30;

/** A disk as it was at a moment, for who reads it while its machine writes on. */
export class FrozenDisk implements Disk {
  readonly sectors: number;
  readonly readonly = true;
  readonly #disk: FreezableDisk;
  /** Of sectors that were written since: what they had. */
  readonly #kept = new Map<number, Uint8Array>();
  #broken = false;

  /** @internal */
  constructor(disk: FreezableDisk) {
    this.sectors = disk.sectors;
    this.#disk = disk;
  }

  /** @throws {DiskError} `refused` if more was overwritten since than is kept, or what could not be read before */
  async read(sector: number, dst: Uint8Array): Promise<void> {
    await this.#disk.read(sector, dst);
    if (this.#broken) throw new DiskError("refused", "its machine has overwritten what could not be kept of it");
    // What was overwritten while it was read is kept by now: that is done before.
    for (let k = 0; k < dst.length / SECTOR_SIZE; k++) {
      const kept = this.#kept.get(sector + k);
      if (kept !== undefined) dst.set(kept, k * SECTOR_SIZE);
    }
  }

  write(): never {
    throw new DiskError("refused", "a frozen disk is not written");
  }

  flush(): void {}

  async close(): Promise<void> {
    this.#disk.unfreeze(this);
    this.#kept.clear();
  }

  async #readable(sector: number, dst: Uint8Array): Promise<boolean> {
    try {
      await this.#disk.read(sector, dst);
      return true;
    } catch {
      return false;
    }
  }

  /** @internal Keeps what sectors have that are about to be written. */
  async keep(sector: number, count: number): Promise<void> {
    const missing = Array.from({ length: count }, (_, k) => sector + k).filter((one) => !this.#kept.has(one));
    if (missing.length === 0 || this.#broken) return;
    const was = new Uint8Array(count * SECTOR_SIZE);
    const fits = (this.#kept.size + missing.length) * SECTOR_SIZE <= KEPT_MOST;
    // What cannot be kept is the fork's loss: the machine's write goes on.
    if (!fits || !(await this.#readable(sector, was))) {
      this.#broken = true;
      this.#kept.clear();
      return;
    }
    for (const one of missing)
      if (!this.#kept.has(one))
        this.#kept.set(one, was.slice((one - sector) * SECTOR_SIZE, (one - sector + 1) * SECTOR_SIZE));
  }
}

/** A machine's disk of which there can be frozen ones. While there are, what they have is read before it is overwritten. */
export class FreezableDisk implements Disk {
  readonly base: MachineDisk;
  #frozen: readonly FrozenDisk[] = [];
  /** Writes that are under way: two at the same place must not both take the other's for what was there. */
  #writing: Promise<unknown> = Promise.resolve();

  constructor(base: MachineDisk) {
    this.base = base;
  }

  get sectors(): number {
    return this.base.sectors;
  }

  get readonly(): boolean {
    return this.base.readonly;
  }

  /** As it is now: nothing may be under way. Closed when nobody reads it any more. */
  freeze(): FrozenDisk {
    const frozen = new FrozenDisk(this);
    this.#frozen = [...this.#frozen, frozen];
    return frozen;
  }

  /** @internal */
  unfreeze(frozen: FrozenDisk): void {
    this.#frozen = this.#frozen.filter((one) => one !== frozen);
  }

  read(sector: number, dst: Uint8Array): void | Promise<void> {
    return this.base.read(sector, dst);
  }

  write(sector: number, src: Uint8Array): void | Promise<void> {
    if (this.#frozen.length === 0) return this.base.write(sector, src);
    const written = this.#writing.then(async () => {
      await Promise.all(this.#frozen.map((frozen) => frozen.keep(sector, src.length / SECTOR_SIZE)));
      await this.base.write(sector, src);
    });
    this.#writing = written.catch(() => undefined);
    return written;
  }

  flush(): void | Promise<void> {
    return this.base.flush();
  }

  async close(): Promise<void> {
    await this.base.close?.();
  }
}
