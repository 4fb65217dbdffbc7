/** Ends a registration. Calling it again does nothing. */
export type Disposer = () => void;

/** Listeners by event name. Each is called in the order of registration. */
export class Emitter<Events extends { [K in keyof Events]: unknown }> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  /** Calls `listener` for every `name` event until the returned function is called. */
  on<K extends keyof Events>(name: K, listener: (event: Events[K]) => void): Disposer {
    const own = (event: Events[K]): void => listener(event);
    const set = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, set);
    set.add(own);
    return () => void set.delete(own);
  }

  /** Calls every listener, whatever others throw. @returns what was thrown */
  emit<K extends keyof Events>(name: K, event: Events[K]): readonly unknown[] {
    const calls = [...(this.#listeners.get(name) ?? [])];
    return callAll(calls.map((listener) => () => (listener as (event: Events[K]) => void)(event)));
  }
}

/** Calls every function, whatever others throw. @returns what was thrown, in the order of the calls */
export function callAll(calls: readonly (() => void)[]): readonly unknown[] {
  const errors: unknown[] = [];
  for (const call of calls) {
    try {
      call();
    } catch (error) {
      errors.push(error);
    }
  }
  return errors;
}

/** Throws what was thrown: the error if there is one, else an AggregateError. */
export function throwAll(errors: readonly unknown[], message: string): void {
  if (errors.length === 1) throw errors[0];
  if (errors.length > 1) throw new AggregateError(errors, message);
}
