import { VdsoError } from "../errors.js";
import { PAGE } from "./abi.js";

/** A page of memory that others read while it is written. Whoever reads it must see the stores in their order. */
export interface PageStore {
  /** @param offset in the page, bytes, a multiple of the size */
  u32(offset: number, value: number): void;
  u64(offset: number, value: bigint): void;
}

/** The store of a page in an array. @throws VdsoError if it is not a page long */
export function pageStore(page: Uint8Array): PageStore {
  if (page.length !== PAGE) throw new VdsoError("page", `page of ${page.length} bytes: expected ${PAGE}`);
  const view = new DataView(page.buffer, page.byteOffset, PAGE);
  return {
    u32: (offset, value) => view.setUint32(offset, value, true),
    u64: (offset, value) => view.setBigUint64(offset, value, true),
  };
}
