const BEGIN = "\x01VM-EXEC-BEGIN\x02";
/** Digits of a status, 0 to 255. */
const STATUS_DIGITS = 3;

/**
 * Takes the serial line of a guest that runs one command apart: the kernel's log, the command's output, its status. The guest
 * frames the output as the README of the guests describes; the nonce keeps the command from ending the frame.
 */
export class ExecFrame {
  readonly #onLog: (bytes: Uint8Array) => void;
  readonly #onOutput: (bytes: Uint8Array) => void;
  readonly #end: Uint8Array;
  #state: "before" | "inside" | "after" = "before";
  /** What may be the start of the mark that is being looked for. */
  #held: Uint8Array = new Uint8Array(0);
  #status: number | null = null;

  constructor(nonce: string, onLog: (bytes: Uint8Array) => void, onOutput: (bytes: Uint8Array) => void) {
    this.#end = ascii(`\x01VM-EXEC-END ${nonce} `);
    this.#onLog = onLog;
    this.#onOutput = onOutput;
  }

  /** The command's status, null until it has ended. */
  get status(): number | null {
    return this.#status;
  }

  /** Whether the command has started. */
  get begun(): boolean {
    return this.#state !== "before";
  }

  push(bytes: Uint8Array): void {
    let data = concat(this.#held, bytes);
    this.#held = new Uint8Array(0);
    if (this.#state === "before") {
      const at = find(data, ascii(BEGIN));
      if (at < 0) {
        this.#pass(this.#onLog, data, ascii(BEGIN));
        return;
      }
      if (at > 0) this.#onLog(data.subarray(0, at));
      this.#state = "inside";
      data = data.subarray(at + BEGIN.length);
    }
    if (this.#state === "inside") {
      const rest = this.#inside(data);
      if (rest === null) return;
      data = rest;
    }
    if (data.length > 0) this.#onLog(data);
  }

  /** The guest has ended: nothing more comes, so what was held back was no mark. */
  finish(): void {
    if (this.#held.length > 0) (this.#state === "inside" ? this.#onOutput : this.#onLog)(this.#held);
    this.#held = new Uint8Array(0);
  }

  /** Returns what follows the frame, or null while it is open. */
  #inside(data: Uint8Array): Uint8Array | null {
    const at = find(data, this.#end);
    if (at < 0) {
      this.#pass(this.#onOutput, data, this.#end);
      return null;
    }
    const from = at + this.#end.length;
    const close = data.indexOf(2, from);
    if (close < 0 && data.length - from <= STATUS_DIGITS) {
      if (at > 0) this.#onOutput(data.subarray(0, at));
      this.#held = data.slice(at);
      return null;
    }
    if (at > 0) this.#onOutput(data.subarray(0, at));
    this.#status = Number(new TextDecoder().decode(data.subarray(from, close)));
    this.#state = "after";
    return data.subarray(close + 1);
  }

  /** Passes on what cannot be the start of `mark`, and holds the rest back. */
  #pass(to: (bytes: Uint8Array) => void, data: Uint8Array, mark: Uint8Array): void {
    let keep = Math.min(mark.length - 1, data.length);
    while (keep > 0 && !startsWith(mark, data.subarray(data.length - keep))) keep--;
    this.#held = data.slice(data.length - keep);
    if (keep < data.length) to(data.subarray(0, data.length - keep));
  }
}

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

const startsWith = (whole: Uint8Array, start: Uint8Array): boolean => start.every((byte, k) => whole[k] === byte);

function find(data: Uint8Array, mark: Uint8Array): number {
  for (let at = data.indexOf(1); at >= 0; at = data.indexOf(1, at + 1)) {
    if (at + mark.length <= data.length && startsWith(data.subarray(at), mark)) return at;
  }
  return -1;
}
