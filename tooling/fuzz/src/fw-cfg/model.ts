import { type Access, Control } from "./dma-guest.js";

/** What fw_cfg is to do, all at once. */
export class FwCfgModel {
  #item = 0;
  #offset = 0;

  constructor(readonly items: ReadonlyMap<number, Uint8Array>) {}

  select(item: number): void {
    this.#item = item;
    this.#offset = 0;
  }

  /**
   * Does an access to `memory`, which has its structure.
   * @returns whether it came to its end; else some of what it names is written, and nobody says how much
   */
  access(memory: Uint8Array, { at, control, length, address }: Access): boolean {
    const tell = (value: number): void => memory.set([0, 0, 0, value], at);
    if (at + 16 > memory.length) {
      if (at + 4 <= memory.length) tell(Control.Error);
      return true;
    }
    if ((control & Control.Select) !== 0) this.select(control >>> 16);
    const isRead = (control & Control.Read) !== 0;
    if (!isRead && (control & Control.Write) !== 0) {
      tell(Control.Error);
      return true;
    }
    if (!isRead && (control & Control.Skip) === 0) {
      tell(0);
      return true;
    }
    if (isRead && length > 0) {
      if (address + length > memory.length) return false;
      const item = this.items.get(this.#item) ?? new Uint8Array(0);
      memory.fill(0, address, address + length);
      memory.set(item.subarray(this.#offset, this.#offset + length), address);
    }
    this.#offset += length;
    tell(0);
    return true;
  }
}
