import { read } from "@vm/devices";
import { part as restorePart } from "../state-part.js";

/** A part of a machine that saves and restores itself. What it saves is data: numbers, strings, booleans, bytes, lists and records of them. */
export interface Saveable {
  save(): unknown;
  /** @param state what {@link save} gave */
  restore(state: never): void;
}

/** What each part saved, by its name. */
export type PartStates = Readonly<Record<string, unknown>>;

/** The parts of a board by their names, in the order in which they are restored. */
export class Parts {
  readonly #parts = new Map<string, Saveable>();

  /** Adds a part whose name no other has, and returns it. */
  add<T extends Saveable>(name: string, part: T): T {
    if (this.#parts.has(name)) throw new RangeError(`there is a part ${name} already`);
    this.#parts.set(name, part);
    return part;
  }

  save(): PartStates {
    return Object.fromEntries([...this.#parts].map(([name, part]) => [name, part.save()]));
  }

  /** Restores all parts. @param states what {@link save} gave for the same parts @throws {StateError} */
  restore(states: PartStates): void {
    const names = [...this.#parts.keys()];
    const readers = Object.fromEntries(names.map((name) => [name, (value: unknown): unknown => value]));
    const known = read.record<Record<string, unknown>>(readers)(states);
    for (const [name, part] of this.#parts) restorePart(name, () => part.restore(known[name] as never));
  }
}
