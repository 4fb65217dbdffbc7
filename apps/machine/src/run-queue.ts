import type { Vcpu } from "@vm/cpu";
import type { Disposer } from "./emitter.js";

/** Whose turn it is: round-robin among the processors that can run and that nobody keeps. */
export class RunQueue {
  readonly #vcpus: readonly Vcpu[];
  #next = 0;
  /** How many keep each processor that is kept. */
  readonly #kept = new Map<Vcpu, number>();

  constructor(vcpus: readonly Vcpu[]) {
    this.#vcpus = vcpus;
  }

  /** Whether a processor is kept. */
  get keeping(): boolean {
    return this.#kept.size > 0;
  }

  /** Whether `vcpu` is kept. */
  keeps(vcpu: Vcpu): boolean {
    return this.#kept.has(vcpu);
  }

  /** Keeps `vcpu` from its turns until every keeper has let go. `onFree` is called when this one was the last. */
  keep(vcpu: Vcpu, onFree: () => void): Disposer {
    this.#kept.set(vcpu, (this.#kept.get(vcpu) ?? 0) + 1);
    let keeping = true;
    return () => {
      if (!keeping) return;
      keeping = false;
      const left = (this.#kept.get(vcpu) ?? 1) - 1;
      if (left > 0) {
        this.#kept.set(vcpu, left);
        return;
      }
      this.#kept.delete(vcpu);
      onFree();
    };
  }

  /** The next processor in turn that can run, null if none can. */
  pick(): Vcpu | null {
    const vcpus = this.#vcpus;
    for (let k = 0; k < vcpus.length; k++) {
      const vcpu = vcpus[(this.#next + k) % vcpus.length] as Vcpu;
      if (!this.ready(vcpu)) continue;
      this.#next = (vcpu.id + 1) % vcpus.length;
      return vcpu;
    }
    return null;
  }

  /** Whose turn is next, by its place. */
  save(): number {
    return this.#next;
  }

  restore(next: number): void {
    this.#next = next;
  }

  /** Whether another processor than `vcpu` wants its turn. */
  contended(vcpu: Vcpu): boolean {
    return this.#vcpus.some((other) => other !== vcpu && this.ready(other));
  }

  /** Whether nothing short of an NMI will wake any of them. */
  get isDead(): boolean {
    return this.#vcpus.every(({ activity, stuck }) => (activity === "hlt" ? stuck : activity !== "active"));
  }

  /** Whether `vcpu` can run and nobody keeps it. */
  ready(vcpu: Vcpu): boolean {
    return vcpu.runnable && !this.#kept.has(vcpu);
  }
}
