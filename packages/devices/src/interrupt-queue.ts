import { read } from "./state.js";
import { readVectors, VectorSet } from "./vector-set.js";

export interface InterruptQueueState {
  readonly tpr: number;
  readonly irr: readonly number[];
  readonly isr: readonly number[];
  readonly tmr: readonly number[];
}

export const readQueue = read.record<InterruptQueueState>({
  tpr: read.u8,
  irr: readVectors,
  isr: readVectors,
  tmr: readVectors,
});

/**
 * The fixed interrupts of one local APIC between request and completion (SDM 3A 11.8): IRR, ISR, TMR, TPR and PPR.
 * `onDeliverable` is called whenever another vector than before can be given to the CPU.
 */
export class InterruptQueue {
  readonly irr = new VectorSet();
  readonly isr = new VectorSet();
  readonly tmr = new VectorSet();
  /** The vector the CPU would be given now, -1 if none. */
  deliverable = -1;
  #taskPriority = 0;
  readonly #onDeliverable: () => void;

  constructor(onDeliverable: () => void) {
    this.#onDeliverable = onDeliverable;
  }

  /** The task priority register, 0-255. */
  get tpr(): number {
    return this.#taskPriority;
  }

  set tpr(value: number) {
    this.#taskPriority = value;
    this.#evaluate();
  }

  /** The processor priority: the higher class of TPR and the highest vector in service; a tie is TPR's (11.8.3.1). */
  get ppr(): number {
    const service = this.isr.highest();
    return service >> 4 > this.tpr >> 4 ? service & 0xf0 : this.tpr;
  }

  /** Requests `vector` (16-255); its trigger mode is remembered until its EOI. */
  request(vector: number, level: boolean): void {
    this.irr.add(vector);
    if (level) this.tmr.add(vector);
    else this.tmr.delete(vector);
    this.#evaluate();
  }

  /** Moves the deliverable vector from IRR to ISR and returns it; -1 if there is none. */
  acknowledge(): number {
    const vector = this.deliverable;
    if (vector < 0) return -1;
    this.irr.delete(vector);
    this.isr.add(vector);
    this.#evaluate();
    return vector;
  }

  /** Ends the interrupt in service: returns its vector if it was level-triggered, else -1. */
  complete(): number {
    const vector = this.isr.highest();
    if (vector < 0) return -1;
    this.isr.delete(vector);
    this.#evaluate();
    return this.tmr.has(vector) ? vector : -1;
  }

  reset(): void {
    this.irr.clear();
    this.isr.clear();
    this.tmr.clear();
    this.tpr = 0;
  }

  save(): InterruptQueueState {
    return { tpr: this.tpr, irr: this.irr.save(), isr: this.isr.save(), tmr: this.tmr.save() };
  }

  /** @throws {StateError} */
  restore(saved: InterruptQueueState): void {
    const state = readQueue(saved);
    this.irr.restore(state.irr);
    this.isr.restore(state.isr);
    this.tmr.restore(state.tmr);
    this.tpr = state.tpr;
  }

  #evaluate(): void {
    const vector = this.irr.highest();
    const before = this.deliverable;
    this.deliverable = vector >= 0 && vector >> 4 > this.ppr >> 4 ? vector : -1;
    if (this.deliverable >= 0 && this.deliverable !== before) this.#onDeliverable();
  }
}
