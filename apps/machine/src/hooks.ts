import type { VcpuHooks } from "@vm/cpu";
import type { Disposer } from "./emitter.js";

export type HookName = keyof VcpuHooks;
export type Hook<K extends HookName> = NonNullable<VcpuHooks[K]>;

type AnyHook = (...args: never[]) => boolean | undefined;

/**
 * How the answers of several observers of one hook become one. `all`: each can veto, every one is asked. `first`: the first that
 * says true has handled it, the rest are not asked. `none`: there is no answer.
 */
const COMPOSITION: { readonly [K in HookName]-?: ReturnType<Hook<K>> extends boolean ? "all" | "first" : "none" } = {
  controlRegister: "all",
  msrWrite: "all",
  msrRead: "none",
  extendedControl: "all",
  descriptorTable: "none",
  cpuid: "none",
  hlt: "none",
  io: "none",
  mmio: "none",
  hypercall: "first",
  breakpoint: "all",
  execute: "none",
  inject: "none",
  singleStep: "none",
  syscall: "none",
  pageAccess: "first",
};

/** Lets several observers share the hooks of one processor. A hook nobody observes stays undefined, and so costs nothing. */
export class HookSet {
  readonly #hooks: VcpuHooks;
  /** What the machine itself does; asked after every observer. */
  readonly #own: VcpuHooks;
  readonly #observers = new Map<HookName, readonly AnyHook[]>();

  /** @param hooks those of the processor; what they hold already is the machine's own part and is asked after the observers */
  constructor(hooks: VcpuHooks) {
    this.#hooks = hooks;
    this.#own = { ...hooks };
  }

  /** Adds an observer; observers are called in the order they were added. Returns the function that removes it. */
  add<K extends HookName>(name: K, hook: Hook<K>): Disposer {
    const own: AnyHook = (...args) => (hook as AnyHook)(...args);
    this.#set(name, [...(this.#observers.get(name) ?? []), own]);
    return () =>
      this.#set(
        name,
        (this.#observers.get(name) ?? []).filter((other) => other !== own),
      );
  }

  #set(name: HookName, observers: readonly AnyHook[]): void {
    this.#observers.set(name, observers);
    const own = this.#own[name] as AnyHook | undefined;
    const all = own === undefined ? observers : [...observers, own];
    if (all.length === 0) delete this.#hooks[name];
    else Object.assign(this.#hooks, { [name]: compose(COMPOSITION[name], all) });
  }
}

function compose(how: "all" | "first" | "none", observers: readonly AnyHook[]): AnyHook {
  const [only] = observers;
  if (observers.length === 1 && only !== undefined) return only;
  if (how === "first") return (...args) => observers.some((observer) => observer(...args) === true);
  return (...args) => {
    let answer = true;
    for (const observer of observers) if (observer(...args) === false) answer = false;
    return answer;
  };
}
