import type { Machine } from "../index.js";

/** How often it is looked, ms. */
const LOOK_MS = 50;
/** A guest that has written half a line, and then done nothing for so long, waits for its user, ms. */
const IDLE_MS = 400;
/** Share of the host's time that an idle guest takes. */
const IDLE_SHARE = 0.1;

/** Tells when a guest waits for its user, who has typed nothing yet: when it shows a prompt, and does nothing. */
export class PromptWatch {
  readonly #timer: NodeJS.Timeout;

  /** @param act what is done then, once */
  constructor(machine: Machine, act: () => Promise<void>) {
    let since = performance.now();
    let ran = machine.executingMs;
    this.#timer = setInterval(() => {
      const now = performance.now();
      const idle = machine.executingMs - ran < IDLE_SHARE * LOOK_MS && machine.console.line.length > 0;
      ran = machine.executingMs;
      if (!idle) since = now;
      if (now - since < IDLE_MS) return;
      this.end();
      void act();
    }, LOOK_MS);
  }

  /** It does not matter any more. */
  end(): void {
    clearInterval(this.#timer);
  }
}
