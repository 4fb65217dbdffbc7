import { FwCfgDma, type FwCfgDmaState, readFwCfgDma } from "./fw-cfg-dma.js";
import type { GuestMemory, PortDevice, PortSize, Turns } from "./ports.js";
import { read } from "./state.js";

/** Ports of the interface: selector, data. */
export const FW_CFG_PORTS = 2;
/** Ports of the interface with DMA: its address register is the last 8. */
export const FW_CFG_DMA_PORTS = 12;

/** Offset of the DMA address register. */
const DMA = 4;
/** Bits of {@link FwCfgItem}.Id. */
const TRADITIONAL = 1;
const WITH_DMA = 2;

/** Selectors of items (QEMU docs/specs/fw_cfg.rst, include/standard-headers/linux/qemu_fw_cfg.h). */
export const FwCfgItem = {
  Signature: 0x00,
  /** Features, u32: bit 0 is the traditional interface, bit 1 DMA. */
  Id: 0x01,
  /** Bytes of RAM, u64. */
  RamSize: 0x03,
  /** Processors, u16. */
  Processors: 0x05,
  /** Bytes of {@link FwCfgItem.KernelData}, u32. */
  KernelSize: 0x08,
  InitrdSize: 0x0b,
  /** Most processors there may be, u16. */
  MaxProcessors: 0x0f,
  /** Address limit of the RAM a test may use, u64; 0 is none. Where firmware is booted, it is {@link FwCfgItem.KernelData}. */
  MaxRam: 0x11,
  /** A Linux kernel behind its setup. */
  KernelData: 0x11,
  InitrdData: 0x12,
  /** Bytes of {@link FwCfgItem.CommandLineData}, u32. */
  CommandLineSize: 0x14,
  /** With the zero at its end. */
  CommandLineData: 0x15,
  SetupSize: 0x17,
  /** The boot sector and setup of a Linux kernel. */
  SetupData: 0x18,
  /** Names, sizes and selectors of files. */
  FileDirectory: 0x19,
} as const;

/** Selector of the first file. */
const FIRST_FILE = 0x20;
/** Bytes of an entry in the directory, and of the name in it, the zero at its end included. */
const ENTRY = 64;
const NAME = 56;

export interface FwCfgDesc {
  /** First port. */
  readonly basePort: number;
  /** Bytes of RAM. */
  readonly ram: number;
  readonly processors: number;
  /** With DMA: what it reaches, and when it is done. */
  readonly dma?: { readonly memory: GuestMemory; readonly turns: Turns };
}

export interface FwCfgState {
  readonly selector: number;
  readonly offset: number;
  readonly dma?: FwCfgDmaState;
}

const registers = { selector: read.u16, offset: read.integer(0, Number.MAX_SAFE_INTEGER) };
const readWithout = read.record<Omit<FwCfgState, "dma">>(registers);
const readWith = read.record<FwCfgState>({ ...registers, dma: readFwCfgDma });

/** A file that the interface has already, or one whose name its directory has no room for. */
export class FwCfgError extends Error {
  override readonly name = "FwCfgError";
  readonly code = "name";
}

/**
 * The firmware configuration interface of QEMU (docs/specs/fw_cfg.rst), by which firmware, or a program without any, learns what its machine is and
 * what it is to boot.
 *
 * Ports: selector (16-bit, write-only, at the even base) and data (8-bit, read-only): each read gives the next byte of the selected item,
 * zeros behind its end. With `dma` the address register at offset 4 as well, see {@link FwCfgDma}.
 * Emulated: items, files. An item that is not there is empty.
 * Not emulated: writing items.
 */
export class FwCfg implements PortDevice {
  readonly ioWidth: PortSize;
  readonly #base: number;
  readonly #items: Map<number, Uint8Array>;
  readonly #files: string[] = [];
  readonly #dma: FwCfgDma | null;
  #selector = 0;
  #offset = 0;

  constructor({ basePort, ram, processors, dma }: FwCfgDesc) {
    this.#base = basePort;
    this.ioWidth = dma === undefined ? 2 : 4;
    this.#items = new Map<number, Uint8Array>([
      [FwCfgItem.Signature, Uint8Array.from("QEMU", (letter) => letter.charCodeAt(0))],
      [FwCfgItem.Id, littleEndian(TRADITIONAL | (dma === undefined ? 0 : WITH_DMA), 4)],
      [FwCfgItem.RamSize, littleEndian(ram, 8)],
      [FwCfgItem.Processors, littleEndian(processors, 2)],
      [FwCfgItem.MaxProcessors, littleEndian(processors, 2)],
      [FwCfgItem.MaxRam, littleEndian(0, 8)],
      [FwCfgItem.FileDirectory, bigEndian(0, 4)],
    ]);
    const items = { select: (item: number) => this.#select(item), take: (count: number) => this.#take(count) };
    this.#dma = dma === undefined ? null : new FwCfgDma({ ...dma, items });
  }

  /** Sets an item. Its bytes are read when the guest reads them: whoever gives them does not change them. */
  set(item: number, bytes: Uint8Array): void {
    this.#items.set(item, bytes);
  }

  /** Sets an item that is a number of 4 bytes, as the sizes are. */
  setSize(item: number, bytes: number): void {
    this.set(item, littleEndian(bytes, 4));
  }

  /** Adds a file. @throws {FwCfgError} if its name has more than 55 characters, others than ASCII's, or is taken */
  addFile(name: string, bytes: Uint8Array): void {
    if (!/^[\x21-\x7e]{1,55}$/.test(name))
      throw new FwCfgError(
        `the name of a file has 1 to ${NAME - 1} characters of ASCII; ${JSON.stringify(name)} has not`,
      );
    if (this.#files.includes(name)) throw new FwCfgError(`there is a file ${name} already`);
    this.#files.push(name);
    this.#items.set(FIRST_FILE + this.#files.length - 1, bytes);
    this.#items.set(FwCfgItem.FileDirectory, this.#directory());
  }

  #directory(): Uint8Array {
    const directory = new Uint8Array(4 + ENTRY * this.#files.length);
    directory.set(bigEndian(this.#files.length, 4));
    this.#files.forEach((name, k) => {
      const at = 4 + k * ENTRY;
      const item = FIRST_FILE + k;
      directory.set(bigEndian(this.#items.get(item)?.length ?? 0, 4), at);
      directory.set(bigEndian(item, 2), at + 4);
      directory.set(
        Uint8Array.from(name, (letter) => letter.charCodeAt(0)),
        at + ENTRY - NAME,
      );
    });
    return directory;
  }

  ioRead(port: number, size: PortSize): number {
    const offset = port - this.#base;
    if (this.#dma !== null && offset >= DMA) return this.#dma.ioRead(offset - DMA, size);
    if (size === 1 && offset === 1) return this.#items.get(this.#selector)?.[this.#offset++] ?? 0;
    return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
  }

  ioWrite(port: number, size: PortSize, value: number): void {
    const offset = port - this.#base;
    if (this.#dma !== null && offset >= DMA) this.#dma.ioWrite(offset - DMA, size, value);
    else if (size === 2 && offset === 0) this.#select(value & 0xffff);
  }

  #select(item: number): void {
    this.#selector = item;
    this.#offset = 0;
  }

  /** The next `count` bytes of the selected item; fewer at its end. */
  #take(count: number): Uint8Array {
    const item = this.#items.get(this.#selector) ?? new Uint8Array(0);
    const bytes = item.subarray(this.#offset, this.#offset + count);
    this.#offset = Math.min(this.#offset + count, 0xffff_ffff);
    return bytes;
  }

  save(): FwCfgState {
    const state = { selector: this.#selector, offset: this.#offset };
    return this.#dma === null ? state : { ...state, dma: this.#dma.save() };
  }

  /** @throws {StateError} */
  restore(saved: FwCfgState): void {
    const state: FwCfgState = this.#dma === null ? readWithout(saved) : readWith(saved);
    this.#selector = state.selector;
    this.#offset = state.offset;
    if (state.dma !== undefined) this.#dma?.restore(state.dma);
  }
}

function littleEndian(value: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, k) => Math.floor(value / 2 ** (8 * k)) % 256);
}

const bigEndian = (value: number, size: number): Uint8Array => littleEndian(value, size).reverse();
