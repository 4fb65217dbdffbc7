import type { VcpuHooks, Verdict } from "@vm/cpu";
import type { Disposer } from "./emitter.js";

export type HookName = keyof VcpuHooks;
export type Hook<K extends HookName> = NonNullable<VcpuHooks[K]>;

type AnyHook = (...args: never[]) => Verdict;

/** The hooks of which one observer's true is the answer: it has handled what the others need not see. */
const HANDLED_BY_ONE: ReadonlySet<HookName> = new Set([
  ...["hypercall", "tdcall", "monitor", "mwait", "rdpmc"],
  "pageAccess",
] as const);

/**
 * Lets several observers share the hooks of one processor. A hook nobody observes stays undefined, and so costs nothing.
 *
 * How the answers of several observers become one:
 * - `hypercall`, `tdcall`, `monitor`, `mwait`, `rdpmc` and `pageAccess`: they are asked in the order they came until one says true; the rest are not asked;
 * - any other: every one is asked, in that order, whatever those before said, and one veto (false) is enough. One that leaves or raises an
 *   exception does so for all; when the instruction comes again, all are asked again.
 */
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
    else Object.assign(this.#hooks, { [name]: HANDLED_BY_ONE.has(name) ? firstTrue(all) : unlessVetoed(all) });
  }
}

function firstTrue(observers: readonly AnyHook[]): AnyHook {
  return (...args) => observers.some((observer) => observer(...args) === true);
}

function unlessVetoed(observers: readonly AnyHook[]): AnyHook {
  const [only] = observers;
  if (observers.length === 1 && only !== undefined) return only;
  return (...args) => {
    let answer = true;
    for (const observer of observers) if (observer(...args) === false) answer = false;
    return answer;
  };
}
