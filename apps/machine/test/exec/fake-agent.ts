import { Ask, FIRST_TAG, HEAD_SIZE, Say, TAG } from "../../src/exec/agent-abi.js";
import { parseRequest } from "../../src/exec/agent-request.js";
import { Nr } from "../../src/exec/guest-syscalls.js";

/** Bytes of the fake's file. */
export const AGENT_SIZE = 1000;

/** A frame as an agent sends it. */
export function frame(tag: Uint8Array | string, type: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  const bytes = new Uint8Array(HEAD_SIZE + data.length);
  bytes.set(typeof tag === "string" ? new TextEncoder().encode(tag) : tag);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, type, true);
  view.setUint32(12, data.length, true);
  bytes.set(data, HEAD_SIZE);
  return bytes;
}

export const int64 = (value: number): Uint8Array => new Uint8Array(BigInt64Array.of(BigInt(value)).buffer);
export const int32 = (value: number): Uint8Array => new Uint8Array(Int32Array.of(value).buffer);

/**
 * An agent in a guest where files are those of `present`, /dev is mounted, and every other system call succeeds. It answers what it is
 * asked as the real one would; a `Pump` it leaves to the test.
 */
export class FakeAgent {
  /** Paths that exist and can be executed. */
  readonly present = new Set(["/bin/sh"]);
  /** Numbers of the system calls, in order. */
  readonly calls: number[] = [];
  /** The text that was last stored, by which paths are told apart. */
  text = "";
  pumping = false;
  /** Pieces of input that came. */
  readonly input: Uint8Array[] = [];
  signals: number[] = [];
  tag: Uint8Array = new TextEncoder().encode(FIRST_TAG);
  readonly #memory = new Map<number, number>();
  readonly #heard: (bytes: Uint8Array) => void;

  /** @param heard gets what the agent sends */
  constructor(heard: (bytes: Uint8Array) => void) {
    this.#heard = heard;
  }

  say(type: number, data?: Uint8Array): void {
    this.#heard(frame(this.tag, type, data));
  }

  /** The host's bytes. */
  receive(bytes: Uint8Array): void {
    const { words, data } = parseRequest(bytes);
    const word = (n: number): number => Number(words[n]);
    switch (word(0)) {
      case Ask.Poke:
        for (let k = 0; k < word(2); k++) this.#memory.set(word(1) + k, data[k] ?? 0);
        this.text = new TextDecoder("latin1").decode(data.subarray(0, data.indexOf(0)));
        if (word(1) === TAG) this.tag = data.slice(0, 8);
        this.say(Say.Reply);
        return;
      case Ask.Peek:
        this.say(
          Say.Reply,
          Uint8Array.from({ length: word(2) }, (_, k) => this.#memory.get(word(1) + k) ?? 0),
        );
        return;
      case Ask.Syscall:
        this.calls.push(word(1));
        this.say(Say.Reply, int64(this.#result(word(1))));
        return;
      case Ask.Spawn:
        this.say(Say.Reply, int64(77));
        return;
      case Ask.Pump:
        this.pumping = true;
        return;
      case Ask.Data:
        this.input.push(data.slice());
        return;
      default:
        this.signals.push(word(1));
    }
  }

  #result(number: number): number {
    if (number === Nr.access) return this.present.has(this.text) ? 0 : -2;
    if (number === Nr.open) return 3;
    if (number === Nr.wait4) return -10;
    if (number === Nr.mount && this.text === "devtmpfs") return -16;
    if (number === Nr.write) return AGENT_SIZE;
    return 0;
  }
}
