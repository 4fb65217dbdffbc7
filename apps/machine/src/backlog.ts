import type { Turns } from "@vm/devices";

/**
 * What devices have put off to a turn of their own. The run loop calls it between two slices; what the host finishes meanwhile waits here as well,
 * so that nothing changes in the guest while it is paused.
 */
export class Backlog implements Turns {
  #waiting: (() => void)[] = [];
  #begun = 0;
  #onWork: () => void = () => undefined;

  /** Calls `listener` when there is something to do, and when something is no longer under way. */
  onWork(listener: () => void): void {
    this.#onWork = listener;
  }

  later(fn: () => void): void {
    this.#waiting.push(fn);
    this.#onWork();
  }

  begin(): () => void {
    this.#begun++;
    let under = true;
    return () => {
      if (!under) return;
      under = false;
      this.#begun--;
      this.#onWork();
    };
  }

  /** Whether something can be done now. */
  get ready(): boolean {
    return this.#waiting.length > 0;
  }

  /** Whether anything is not finished: it can be done now, or is under way outside the machine. */
  get busy(): boolean {
    return this.ready || this.#begun > 0;
  }

  /** Does the oldest of what can be done: one device's turn. */
  step(): void {
    this.#waiting.shift()?.();
  }
}
