import { halvesOf, type Vcpu } from "@vm/cpu";
import type { Disposer } from "./emitter.js";
import type { HookSet } from "./hooks.js";

/**
 * The code breakpoints of one processor, any number of observers at any number of addresses. Nothing in the guest's memory changes, and no debug
 * register is taken. Code in the same 4 KiB as a breakpoint is executed an instruction at a time.
 */
export class Breakpoints {
  readonly #cpu: Vcpu;
  readonly #hooks: HookSet;
  readonly #observers = new Map<bigint, Set<() => void>>();
  #unhook: Disposer | null = null;

  constructor(cpu: Vcpu, hooks: HookSet) {
    this.#cpu = cpu;
    this.#hooks = hooks;
  }

  /** Calls `observer` before each run of the instruction at a linear address. Returns the function that ends it. */
  add(address: bigint, observer: () => void): Disposer {
    const own = (): void => observer();
    const observers = this.#observers.get(address) ?? new Set();
    if (observers.size === 0) {
      this.#observers.set(address, observers);
      this.#cpu.watchCode(...halvesOf(address), true);
    }
    observers.add(own);
    this.#unhook ??= this.#hooks.add("execute", (at) => {
      for (const each of this.#observers.get(at) ?? []) each();
    });
    return () => {
      if (!observers.delete(own) || observers.size > 0) return;
      this.#observers.delete(address);
      this.#cpu.watchCode(...halvesOf(address), false);
      if (this.#observers.size > 0) return;
      this.#unhook?.();
      this.#unhook = null;
    };
  }
}
