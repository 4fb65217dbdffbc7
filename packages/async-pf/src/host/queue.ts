import { ASYNC_PF_PER_VCPU } from "../abi.js";
import type { Covers } from "./gfn.js";

/** A frame that a vCPU has missed. */
export interface PageItem {
  readonly kind: "page";
  readonly gfn: number;
  readonly token: number;
  /** The guest has been told by a #PF, so that it is to be told the end as well. */
  readonly injected: boolean;
}

/** What has ended, and waits for its turn. */
export type DoneItem = PageItem | { readonly kind: "wake-all" };

/** Frames a vCPU waits for, and what is there but has not been told yet (`struct kvm_vcpu`, `async_pf`). */
export class Queue {
  /** By frame number, in the order of the misses: what is outstanding and what is done. */
  readonly #table = new Map<number, PageItem>();
  readonly #done: DoneItem[] = [];

  /** What counts against the limit. */
  get length(): number {
    return this.#table.size + this.#done.filter(({ kind }) => kind === "wake-all").length;
  }

  get full(): boolean {
    return this.length >= ASYNC_PF_PER_VCPU;
  }

  get hasDone(): boolean {
    return this.#done.length > 0;
  }

  has(gfn: number): boolean {
    return this.#table.has(gfn);
  }

  hasToken(token: number): boolean {
    return [...this.#table.values()].some((item) => item.token === token);
  }

  /** The frame is awaited, and has not come. */
  outstanding(gfn: number): boolean {
    const item = this.#table.get(gfn);
    return item !== undefined && !this.#done.includes(item);
  }

  add(item: PageItem): void {
    this.#table.set(item.gfn, item);
  }

  /** Frames have come. Whether any of them was outstanding. */
  complete(covers: Covers): boolean {
    const items = [...this.#table.values()].filter(({ gfn }) => covers(gfn) && this.outstanding(gfn));
    this.#done.push(...items);
    return items.length > 0;
  }

  addWakeAll(): void {
    this.#done.push({ kind: "wake-all" });
  }

  /** Takes out what has been done for longest. */
  shift(): DoneItem | undefined {
    const item = this.#done.shift();
    if (item?.kind === "page") this.#table.delete(item.gfn);
    return item;
  }

  clear(): void {
    this.#table.clear();
    this.#done.length = 0;
  }
}
