import type { PortDevice, PortSize } from "./ports.js";

/** Ports of the interface: selector, data. */
export const FW_CFG_PORTS = 2;

/** Selectors of items (QEMU docs/specs/fw_cfg.rst, include/standard-headers/linux/qemu_fw_cfg.h). */
export const FwCfgItem = {
  Signature: 0x00,
  /** Features: bit 0 is the traditional interface. */
  Id: 0x01,
  /** Bytes of RAM, u64. */
  RamSize: 0x03,
  /** Processors, u16. */
  Processors: 0x05,
  /** Most processors there may be, u16. */
  MaxProcessors: 0x0f,
  /** Address limit of the RAM a test may use, u64; 0 is none. */
  MaxRam: 0x11,
} as const;

export interface FwCfgDesc {
  /** Bytes of RAM. */
  readonly ram: number;
  readonly processors: number;
}

export interface FwCfgState {
  readonly selector: number;
  readonly offset: number;
}

/**
 * The firmware configuration interface of QEMU (docs/specs/fw_cfg.rst), by which a program without firmware learns how large its
 * machine is.
 *
 * Ports: selector (16-bit, write-only, at the even base) and data (8-bit, read-only): each read gives the next byte of the selected item,
 * zeros behind its end.
 * Emulated: the items of {@link FwCfgItem}. An item that is not there is empty.
 * Not emulated: the DMA interface, files, writing items.
 */
export class FwCfg implements PortDevice {
  readonly ioWidth = 2;
  readonly #items: ReadonlyMap<number, Uint8Array>;
  #selector = 0;
  #offset = 0;

  constructor({ ram, processors }: FwCfgDesc) {
    this.#items = new Map<number, Uint8Array>([
      [FwCfgItem.Signature, Uint8Array.from("QEMU", (letter) => letter.charCodeAt(0))],
      [FwCfgItem.Id, littleEndian(1, 4)],
      [FwCfgItem.RamSize, littleEndian(ram, 8)],
      [FwCfgItem.Processors, littleEndian(processors, 2)],
      [FwCfgItem.MaxProcessors, littleEndian(processors, 2)],
      [FwCfgItem.MaxRam, littleEndian(0, 8)],
    ]);
  }

  ioRead(port: number, size: PortSize): number {
    if (size !== 1 || (port & 1) === 0) return size === 1 ? 0xff : 0xffff;
    return this.#items.get(this.#selector)?.[this.#offset++] ?? 0;
  }

  ioWrite(port: number, size: PortSize, value: number): void {
    if (size !== 2 || (port & 1) !== 0) return;
    this.#selector = value & 0xffff;
    this.#offset = 0;
  }

  save(): FwCfgState {
    return { selector: this.#selector, offset: this.#offset };
  }

  restore(state: FwCfgState): void {
    this.#selector = state.selector;
    this.#offset = state.offset;
  }
}

function littleEndian(value: number, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, k) => Math.floor(value / 2 ** (8 * k)) % 256);
}
