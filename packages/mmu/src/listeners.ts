/** Callbacks in order of registration. Registering returns the function that removes; a callback may remove itself while called. */
export class Listeners<Args extends readonly unknown[]> {
  #list: readonly ((...args: Args) => void)[] = [];

  add(callback: (...args: Args) => void): () => void {
    const entry = (...args: Args): void => callback(...args);
    this.#list = [...this.#list, entry];
    return () => {
      this.#list = this.#list.filter((other) => other !== entry);
    };
  }

  emit(...args: Args): void {
    for (const callback of this.#list) callback(...args);
  }
}
