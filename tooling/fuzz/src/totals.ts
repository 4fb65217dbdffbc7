import type { Outcome } from "./cases.js";

/** What came of all cases so far. */
export class Totals {
  cases = 0;
  failures = 0;
  /** Longest turn of the event loop, ms. */
  longestTurn = 0;
  /** Turns over the limit that did not come again when the case was repeated. */
  stalls = 0;
  /** Least and most memory in use behind a garbage collection, bytes. */
  #least = Number.POSITIVE_INFINITY;
  #most = 0;
  readonly #sums = new Map<string, number>();
  readonly #kinds = new Map<string, Map<string, number>>();

  add({ report, longestTurn, stalls }: Outcome): void {
    this.cases++;
    if (Number.isFinite(longestTurn)) this.longestTurn = Math.max(this.longestTurn, longestTurn);
    this.stalls += stalls;
    for (const [what, count] of Object.entries(report.sums ?? {}))
      this.#sums.set(what, (this.#sums.get(what) ?? 0) + count);
    for (const [key, word] of Object.entries(report.kinds ?? {})) {
      const words = this.#kinds.get(key) ?? new Map<string, number>();
      words.set(word, (words.get(word) ?? 0) + 1);
      this.#kinds.set(key, words);
    }
  }

  memory(bytes: number): void {
    this.#least = Math.min(this.#least, bytes);
    this.#most = Math.max(this.#most, bytes);
  }

  /** One line. */
  brief(): string {
    const sums = [...this.#sums].map(([what, count]) => `${count} ${what}`);
    return [`${this.cases} cases`, ...sums, `${this.failures} failures`].join(", ");
  }

  /** Some lines, the last without a line end. */
  summary(ms: number): string {
    const mib = (bytes: number): number => Math.round(bytes / 2 ** 20);
    const memory = this.#most === 0 ? "" : `; memory in use ${mib(this.#least)} to ${mib(this.#most)} MiB`;
    const lists = [...this.#kinds].flatMap(([key, words]) => [
      key,
      ...[...words].sort(([a], [b]) => (a < b ? -1 : 1)).map(([word, count]) => `  ${word}: ${count}`),
    ]);
    return [
      `${this.brief()} in ${Math.round(ms / 1000)} s`,
      `longest turn of the event loop ${this.longestTurn.toFixed(1)} ms, ${this.stalls} longer ones of the host${memory}`,
      ...lists,
    ].join("\n");
  }
}
