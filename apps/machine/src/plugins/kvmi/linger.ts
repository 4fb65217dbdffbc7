import type { Disposer } from "../../emitter.js";
import type { MachineHandle } from "../../plugin.js";
import { turn } from "../../turn.js";

/** Calls `work` when the event loop has had a turn. */
const soon: (work: () => void) => void =
  typeof setImmediate === "function" ? (work) => void setImmediate(work) : (work) => void turn().then(work);

/** How long the guest waits for a further command behind one, ms. */
const QUIET_MS = 0.2;
/** How long it waits at most while they keep coming, ms; then it runs for as long as between two turns of the event loop. */
const LONGEST_MS = 5;

/**
 * Keeps a busy guest waiting for a moment behind each command, because tools send commands one by one, each when the last is answered,
 * and the event loop has its turn only every now and then. With a guest that idles or stands still there is nothing to wait for.
 */
export class Linger {
  readonly #machine: MachineHandle;
  readonly #busy: () => boolean;
  #until = 0;
  #lingering = false;

  /** @param busy whether a processor could execute instructions right now */
  constructor(machine: MachineHandle, busy: () => boolean) {
    this.#machine = machine;
    this.#busy = busy;
  }

  /** A command has come. */
  touch(): void {
    if (!this.#lingering && !this.#busy()) return;
    this.#until = performance.now() + QUIET_MS;
    if (!this.#lingering) this.#linger();
  }

  /** The tool has let a vCPU go on: no more waiting. */
  end(): void {
    this.#until = 0;
  }

  #linger(): void {
    this.#lingering = true;
    const end = performance.now() + LONGEST_MS;
    const holds: readonly Disposer[] = this.#machine.vcpus.map((vcpu) => vcpu.hold());
    const look = (): void => {
      if (performance.now() < Math.min(this.#until, end)) {
        soon(look);
        return;
      }
      this.#lingering = false;
      for (const release of holds) release();
    };
    soon(look);
  }
}
