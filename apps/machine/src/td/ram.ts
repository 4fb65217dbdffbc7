import { Lockdep, Task } from "@vm/lockdep";
import {
  createRegion,
  type ExternalPageTable,
  GmemFlag,
  GuestMemfd,
  KvmError,
  MemoryAttribute,
  Mmu,
  type Pfn,
  setMemoryAttributes2,
} from "@vm/mmu";
import { hostLayout } from "../layout.js";
import type { GuestRam } from "../ram.js";
import { allocateMemory } from "../ram.js";
import { TdFrames } from "./frames.js";

const PAGE = 4096;
/** Guest-physical addresses have 48 bits, the highest of which says shared. */
export const GPA_BITS = 48;
export const SHARED_BIT = 2 ** (GPA_BITS - 1);

/** Control pages of a TD and of each of its vCPUs, with room to spare. */
const TD_PAGES = 32;
const VCPU_PAGES = 16;
/** What the TDX module notes of pages: 16 bytes for every 4 KiB of the GiB that memory lies in. */
const PAMT_SHARE = 256;

/** Memory of a host whose guest is a TD. */
export interface TdRam extends GuestRam {
  /** All of the guest's memory: RAM, then what is below 4 GiB. Shared until it is made private. */
  readonly gmem: GuestMemfd;
  /** Physical memory that can be a TD's: bytes of the wasm memory. */
  readonly range: { readonly base: number; readonly size: number };
  readonly pages: HostFrames;
  readonly frames: TdFrames;
  /** Bytes in a row that nobody else gets, multiples of 4096; null if there are none left. */
  allocContiguous(size: number): number | null;
  /**
   * Makes a range of guest-physical memory private or shared, in place. Between RAM and what is below 4 GiB all is shared as it is: of devices firmware asks
   * for it.
   * @throws {KvmError} EINVAL where no memory can be made private, or for a range that begins or ends in another of these; what the conversion throws
   */
  convert(gpa: number, size: number, toPrivate: boolean): Promise<void>;
  /** Makes all of it private: what the host has written there stays. */
  makePrivate(): Promise<void>;
}

/** Frames that the host gives away one by one. */
export class HostFrames {
  readonly #mmu: Mmu;

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
  }

  alloc(): number | null {
    const { arena } = this.#mmu.vm.slots;
    if (arena.available === 0) return null;
    arena.reserve(1);
    return arena.take() * PAGE;
  }

  free(hpa: number): void {
    const { arena } = this.#mmu.vm.slots;
    arena.give((hpa / PAGE) as Pfn);
    arena.unreserve(1);
  }
}

export interface TdRamOptions {
  readonly cpus: number;
  /** Bytes, a multiple of 4096. */
  readonly ram: number;
  readonly lockdep: Lockdep | undefined;
  /** Guest-physical address of the memory below 4 GiB, a multiple of 4096 from `ram` on: the loader's, or the firmware's. */
  readonly high: number;
  /** Who keeps the guest's secure page tables. */
  readonly external: ExternalPageTable;
}

/**
 * Memory for a TD: a guest_memfd whose pages are converted in place, mapped by the host for what is shared.
 * @throws {MachineError} if the host has not so much address space
 */
export async function allocateTdRam({ cpus, ram, lockdep, high, external }: TdRamOptions): Promise<TdRam> {
  const highSize = 2 ** 32 - high;
  const septPages = Math.ceil(ram / 2 ** 21) + 16;
  const control = (TD_PAGES + cpus * VCPU_PAGES + septPages) * PAGE;
  const layout = hostLayout(cpus, ram, highSize + control);
  const [start, end] = layout.frames;
  const pamt = Math.ceil((end / 2 ** 30 + 2) * (2 ** 30 / PAMT_SHARE + 2 ** 16));
  const memory = allocateMemory(layout.pages + Math.ceil(pamt / 65536));
  const validator = lockdep ?? new Lockdep({ enabled: false });
  const mmu = new Mmu({
    ...{ memory, arenaStart: start, arenaEnd: end, lockdep: validator, maxPhyAddr: GPA_BITS },
    privateMemory: { external, sharedFrom: SHARED_BIT / PAGE },
    kvm: { vmMemoryAttributes: false },
  });
  const task = new Task(validator, "vm");
  const { vm } = mmu;
  const size = ram + highSize;
  const gmem = GuestMemfd.create(vm, { size, flags: GmemFlag.Mmap | GmemFlag.InitShared });
  const userAddr = await vm.mm.mmap(task, { length: size, file: gmem });
  const region = { gmem, slot: 0, gpa: 0, size: ram, userAddr, offset: 0 };
  await createRegion(task, vm, vm.slots, region);
  await createRegion(task, vm, vm.slots, {
    ...{ gmem, slot: 1, gpa: high, size: highSize, userAddr: userAddr + ram, offset: ram },
  });
  const frames = new TdFrames(memory);
  const convert = (offset: number, bytes: number, toPrivate: boolean): Promise<void> => {
    if (!toPrivate) frames.share();
    return setMemoryAttributes2(task, gmem, {
      ...{ offset, size: bytes },
      attributes: toPrivate ? MemoryAttribute.Private : MemoryAttribute.None,
    });
  };
  let next = end;
  const last = memory.buffer.byteLength;
  return {
    ...{ memory, layout, mmu, task, gmem },
    range: { base: start, size: last - start },
    pages: new HostFrames(mmu),
    frames,
    allocContiguous: (bytes) => {
      if (next + bytes > last) return null;
      next += bytes;
      return next - bytes;
    },
    convert: async (gpa, bytes, toPrivate) => {
      const end = gpa + bytes;
      if (end <= ram) return convert(gpa, bytes, toPrivate);
      if (gpa >= high && end <= 2 ** 32) return convert(gpa - high + ram, bytes, toPrivate);
      const nothing = gpa >= ram && end <= high;
      if (!nothing || toPrivate)
        throw new KvmError("EINVAL", `0x${gpa.toString(16)} to 0x${end.toString(16)} are not all of one memory`);
    },
    makePrivate: () => convert(0, size, true),
  };
}
