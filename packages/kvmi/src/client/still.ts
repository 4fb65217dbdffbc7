import type { DisconnectedError } from "./errors.js";
import type { KvmiEvent } from "./events.js";

/** Someone who wants a vCPU to stand still, and has asked for a PAUSE event. */
export interface Hold {
  /** Resolves when the vCPU waits for a reply to whatever event. Rejects with the connection. */
  stands(): Promise<void>;
  /** Answers the PAUSE event, now or as soon as it comes. */
  release(): void;
  /** There will be no PAUSE event. */
  forget(): void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Which vCPUs wait for a reply, and whose PAUSE events are those that come. */
export class Still {
  readonly #still = new Set<number>();
  readonly #waiters = new Map<number, Waiter[]>();
  /** What becomes of PAUSE events to come, by vCPU, in order. */
  readonly #holds = new Map<number, ((event: KvmiEvent) => void)[]>();
  #ended: DisconnectedError | null = null;

  /** To be called before the PAUSE event can come. */
  hold(vcpu: number): Hold {
    let event: KvmiEvent | null = null;
    let released = false;
    const take = (pause: KvmiEvent): void => {
      event = pause;
      if (released) pause.reply();
    };
    const holds = this.#holds.get(vcpu) ?? [];
    holds.push(take);
    this.#holds.set(vcpu, holds);
    return {
      stands: () => this.#stands(vcpu),
      release: () => {
        released = true;
        event?.reply();
      },
      forget: () => void holds.splice(holds.indexOf(take), 1),
    };
  }

  #stands(vcpu: number): Promise<void> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    if (this.#still.has(vcpu)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(vcpu) ?? [];
      waiters.push({ resolve, reject });
      this.#waiters.set(vcpu, waiters);
    });
  }

  /** An event has come that its vCPU waits for a reply to. True: it is one of ours, and nobody else's to read. */
  came(event: KvmiEvent): boolean {
    this.#still.add(event.vcpu);
    const take = event.name === "pause" ? this.#holds.get(event.vcpu)?.shift() : undefined;
    take?.(event);
    for (const { resolve } of this.#waiters.get(event.vcpu)?.splice(0) ?? []) resolve();
    return take !== undefined;
  }

  /** An event of the vCPU has been answered. */
  answered(vcpu: number): void {
    this.#still.delete(vcpu);
  }

  end(error: DisconnectedError): void {
    this.#ended = error;
    for (const waiters of this.#waiters.values()) for (const { reject } of waiters) reject(error);
    this.#waiters.clear();
  }
}
