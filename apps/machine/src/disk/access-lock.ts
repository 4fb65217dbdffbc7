type Kind = "shared" | "exclusive";

interface Waiter {
  readonly kind: Kind;
  readonly go: () => void;
}

/** Many at a time, or one alone; in the order in which they came, so that nobody waits for ever. */
export class AccessLock {
  readonly #waiting: Waiter[] = [];
  #sharers = 0;
  #alone = false;

  /** Runs `work` together with others that share. */
  shared<T>(work: () => Promise<T>): Promise<T> {
    return this.#run("shared", work);
  }

  /** Runs `work` while nothing else runs. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    return this.#run("exclusive", work);
  }

  async #run<T>(kind: Kind, work: () => Promise<T>): Promise<T> {
    if (this.#waiting.length > 0 || !this.#fits(kind))
      await new Promise<void>((go) => this.#waiting.push({ kind, go }));
    else this.#enter(kind);
    try {
      return await work();
    } finally {
      if (kind === "shared") this.#sharers--;
      else this.#alone = false;
      this.#admit();
    }
  }

  #fits(kind: Kind): boolean {
    return !this.#alone && (kind === "shared" || this.#sharers === 0);
  }

  #enter(kind: Kind): void {
    if (kind === "shared") this.#sharers++;
    else this.#alone = true;
  }

  #admit(): void {
    for (let first = this.#waiting[0]; first && this.#fits(first.kind); first = this.#waiting[0]) {
      this.#waiting.shift();
      this.#enter(first.kind);
      first.go();
    }
  }
}
