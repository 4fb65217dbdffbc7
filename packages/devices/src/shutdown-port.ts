import type { PortDevice, PortSize } from "./ports.js";
import { read } from "./state.js";

const WORD = [..."Shutdown"].map((letter) => letter.charCodeAt(0));
const readMatched = read.integer(0, WORD.length - 1);

export interface ShutdownPortDesc {
  /** The guest has spelled the word. */
  readonly onShutdown: () => void;
}

/**
 * The power-off port of old emulators (0x8900 in Bochs and QEMU): a guest that writes the bytes of "Shutdown" there, one by one, turns
 * the machine off. Any other byte starts over. Reads give all ones.
 */
export class ShutdownPort implements PortDevice {
  readonly ioWidth = 1;
  #matched = 0;
  readonly #desc: ShutdownPortDesc;

  constructor(desc: ShutdownPortDesc) {
    this.#desc = desc;
  }

  ioRead(_port: number, _size: PortSize): number {
    return 0xff;
  }

  ioWrite(_port: number, _size: PortSize, value: number): void {
    this.#matched = value === WORD[this.#matched] ? this.#matched + 1 : value === WORD[0] ? 1 : 0;
    if (this.#matched < WORD.length) return;
    this.#matched = 0;
    this.#desc.onShutdown();
  }

  save(): number {
    return this.#matched;
  }

  /** @throws {StateError} */
  restore(matched: number): void {
    this.#matched = readMatched(matched);
  }
}
