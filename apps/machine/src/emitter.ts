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

  emit<K extends keyof Events>(name: K, event: Events[K]): void {
    for (const listener of this.#listeners.get(name) ?? []) (listener as (event: Events[K]) => void)(event);
  }
}
