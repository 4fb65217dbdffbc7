import { type KeyEntry, Kot } from "./kot.js";
import { PAGE_BYTES, PageSize, PageType } from "./page-type.js";
import { Pamt } from "./pamt.js";
import type { PhysicalRange, PlatformDesc } from "./platform.js";
import type { Td } from "./td.js";
import type { TdVcpu } from "./td-vcpu.js";
import { TryLock } from "./try-lock.js";

/** How far the module is with its own initialisation. Source: TDX module base architecture specification, "TDX Module Initialization". */
export enum SysState {
  InitPending = 0,
  InitDone = 1,
  ConfigDone = 2,
  Ready = 3,
  Shutdown = 4,
}

/** A Trust Domain Memory Region: physical memory that may become private, with its PAMT. */
export interface Tdmr extends PhysicalRange {
  readonly reserved: readonly PhysicalRange[];
  /** PAMT of 1 GiB, 2 MiB and 4 KiB entries. */
  readonly pamts: readonly PhysicalRange[];
  /** TDH.SYS.TDMR.INIT has come to here. */
  initialised: number;
  readonly lock: TryLock;
}

/** TDH.PHYMEM.CACHE.WB of one package. */
export interface WriteBack {
  readonly lock: TryLock;
  /** Part of the cache that comes next, after an interruption; else 0. */
  part: number;
  /** Keys that were flushed when it began. */
  keys: readonly KeyEntry[];
}

/** HKIDs fit into this many bits at the top of a physical address. */
function keyIdBits({ first, count }: PlatformDesc["privateHkids"]): number {
  return Math.ceil(Math.log2(first + count));
}

/** Everything the TDX module keeps, from the day it was loaded; leaves work on it. */
export class ModuleState {
  sys = SysState.InitPending;
  /** By number of the logical processor: TDH.SYS.LP.INIT was done there. */
  readonly lpInitialised: boolean[];
  /** By package: TDH.SYS.KEY.CONFIG was done there. */
  packagesConfigured = 0;
  readonly globalLock = new TryLock();
  /** By package: how far TDH.PHYMEM.CACHE.WB is there. */
  readonly writeBacks: readonly WriteBack[];
  /** The module's own key id, from SYS.CONFIG on. */
  hkid = 0;
  readonly tdmrs: Tdmr[] = [];
  readonly pamt = new Pamt();
  readonly kot: Kot;
  /** By physical address of the TDR. */
  readonly tds = new Map<number, Td>();
  /** By physical address of the TDVPR. */
  readonly vcpus = new Map<number, TdVcpu>();
  /** By number of the logical processor: the vCPU that runs there now. */
  readonly running: (TdVcpu | undefined)[];
  /** By number of the logical processor: the vCPU that ran there last, whose translations may be cached there. */
  readonly lastVcpu: (TdVcpu | undefined)[];
  /** Bits of a physical address below those of the key id. */
  readonly hkidShift: number;
  /** The first physical address with a key id other than 0. */
  readonly firstKeyed: number;
  /** State of the generator behind {@link scramble}; never zero. */
  #noise = 0x9e37_79b1;

  constructor(readonly platform: PlatformDesc) {
    this.kot = new Kot(platform.privateHkids);
    this.lpInitialised = platform.processors.map(() => false);
    this.running = platform.processors.map(() => undefined);
    this.lastVcpu = platform.processors.map(() => undefined);
    this.writeBacks = Array.from({ length: platform.packages }, () => ({ lock: new TryLock(), part: 0, keys: [] }));
    this.hkidShift = platform.maxPhysAddr - keyIdBits(platform.privateHkids);
    this.firstKeyed = 2 ** this.hkidShift;
  }

  /** One bit for every package, all set. */
  get allPackages(): number {
    return 2 ** this.platform.packages - 1;
  }

  /** Whether all of `size` bytes from `hpa` are within one convertible memory range. */
  isConvertible(hpa: number, size: number): boolean {
    return this.platform.cmrs.some(({ base, size: length }) => hpa >= base && hpa + size <= base + length);
  }

  /** Whether the frame at `hpa` may be read and written as the host's. */
  isShared(hpa: number): boolean {
    const type = this.pamt.typeOf(hpa);
    return (type === PageType.Nda || type === PageType.Rsvd) && !this.isPamt(hpa);
  }

  /** Whether the frame at `hpa` holds PAMT entries. */
  isPamt(hpa: number): boolean {
    return this.tdmrs.some(({ pamts }) => pamts.some(({ base, size }) => hpa >= base && hpa < base + size));
  }

  /** Fills the frame at `hpa` with zeros. */
  zero(hpa: number): void {
    const { memory } = this.platform;
    if (memory.zero === undefined) this.frame(hpa).fill(0);
    else memory.zero(hpa);
  }

  /** The 4096 bytes of the frame that `hpa` lies in. */
  frame(hpa: number): Uint8Array {
    return this.platform.memory.page(hpa - (hpa % PAGE_BYTES[PageSize.Size4K]));
  }

  /**
   * Overwrites `pages` frames from `hpa` on, which leave a TD: what a host reads there before it has written is what decryption by the wrong key would give, nothing
   * of the TD's and every time something else.
   */
  scramble(hpa: number, pages = 1): void {
    let noise = this.#noise;
    for (let i = 0; i < pages; i++) {
      const frame = this.platform.memory.page(hpa + i * PAGE_BYTES[PageSize.Size4K]);
      const words = new Int32Array(frame.buffer, frame.byteOffset, frame.byteLength / Int32Array.BYTES_PER_ELEMENT);
      for (let at = 0; at < words.length; at++) {
        noise ^= noise << 13;
        noise ^= noise >>> 17;
        noise ^= noise << 5;
        words[at] = noise;
      }
    }
    this.#noise = noise;
  }

  packageOf(lp: number): number {
    return this.platform.processors[lp]?.package ?? 0;
  }
}
