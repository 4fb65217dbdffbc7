import { reason } from "./errors.js";

/** Sentences that are said as they come; the rest is counted. */
const MOST = 8;

/** Errors of disks while a guest runs, told to a person: every sentence once, few of them, and how many there were at the end. */
export class DiskErrors {
  readonly #said = new Set<string>();
  #count = 0;
  readonly #say: (sentence: string) => void;

  constructor(say: (sentence: string) => void) {
    this.#say = say;
  }

  add(error: unknown): void {
    this.#count++;
    const sentence = reason(error);
    if (this.#said.has(sentence) || this.#said.size === MOST) return;
    this.#said.add(sentence);
    this.#say(`disk error: ${sentence}`);
  }

  /** Says how many there were, if that is not known yet. */
  end(): void {
    if (this.#count > this.#said.size) this.#say(`disk errors: ${this.#count} in all`);
  }
}
