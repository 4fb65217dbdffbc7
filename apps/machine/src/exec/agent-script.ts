import { Ask, FRAME, PAYLOAD_MAX, SCRATCH, SCRATCH_SIZE } from "./agent-abi.js";
import { request } from "./agent-request.js";

/** What the host does with an agent, written as a straight line of requests: each `yield` is one, and comes back with the reply to it. */
export type Script<T> = Generator<Uint8Array, T, Uint8Array>;

/** An argument of a system call. A string is passed as a pointer to it with a zero at its end, bytes as a pointer to them. */
export type Argument = number | bigint | string | Uint8Array;

/** Stores bytes in the agent's memory. */
export function* poke(address: number, bytes: Uint8Array): Script<void> {
  for (let at = 0; at < bytes.length; at += PAYLOAD_MAX) {
    const piece = bytes.subarray(at, at + PAYLOAD_MAX);
    yield request([Ask.Poke, address + at, piece.length], piece);
  }
}

/** Reads the agent's memory. */
export function* peek(address: number | bigint, length: number): Script<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += PAYLOAD_MAX) {
    const some = Math.min(PAYLOAD_MAX, length - at);
    bytes.set((yield request([Ask.Peek, BigInt(address) + BigInt(at), some])).subarray(0, some), at);
  }
  return bytes;
}

/** Makes a system call. Returns its result: an error as its negative errno. Pointers are to scratch memory from `at` on. */
export function* syscall(number: number, ...args: readonly Argument[]): Script<number> {
  const memory = new Scratch();
  const words = args.map((argument) => memory.word(argument));
  if (memory.used > 0) yield* poke(SCRATCH, memory.bytes());
  return resultOf(yield request([Ask.Syscall, number, ...words]));
}

/** The result of a system call that is called with numbers only, where strings would overwrite what they point to. */
export function* plainSyscall(number: number, ...args: readonly (number | bigint)[]): Script<number> {
  return resultOf(yield request([Ask.Syscall, number, ...args]));
}

/** A reply's 64 bits as a number; one that is too short, which no agent sends, as an error. */
export function resultOf(reply: Uint8Array): number {
  if (reply.length < 8) return -5;
  return Number(new DataView(reply.buffer, reply.byteOffset).getBigInt64(0, true));
}

/** Scratch memory of the agent as it is filled: where things will be, and their bytes. */
export class Scratch {
  readonly #parts: Uint8Array[] = [];
  readonly #base: number;
  used = 0;

  /** @param base address of the first byte */
  constructor(base = SCRATCH) {
    this.#base = base;
  }

  /** Puts bytes there. Returns their address, a multiple of 8. @throws {RangeError} if they do not fit */
  put(bytes: Uint8Array): number {
    const address = this.#base + this.used;
    const padded = new Uint8Array(Math.ceil(bytes.length / 8) * 8);
    if (address + padded.length > SCRATCH + SCRATCH_SIZE) throw new RangeError("the agent's memory is full");
    padded.set(bytes);
    this.#parts.push(padded);
    this.used += padded.length;
    return address;
  }

  string(text: string): number {
    return this.put(new TextEncoder().encode(`${text}\0`));
  }

  words(words: readonly (number | bigint)[]): number {
    return this.put(new Uint8Array(BigInt64Array.from(words.map(BigInt)).buffer));
  }

  /** An argument as the register holds it. */
  word(argument: Argument): number | bigint {
    if (typeof argument === "string") return this.string(argument);
    return typeof argument === "object" ? this.put(argument) : argument;
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.used);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** Where the payload of the agent's last frame lies: memory that a system call can read into and that is free between requests. */
export const REPLY_BUFFER = FRAME;
