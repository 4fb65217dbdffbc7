import { Announced } from "../announced.js";
import { handshakeFromTool, handshakeFromVm } from "../codec/wire.js";

/** Who the machine says it is. */
export interface Identity {
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** Up to 63 bytes of UTF-8 are sent. */
  readonly name: string;
  /** When the machine was started or last reset, seconds since 1970. */
  readonly startTime: number;
}

/** What the tool's answer came to. */
export type Greeting =
  | { readonly state: "incomplete" }
  | { readonly state: "refused"; readonly reason: string }
  /** `rest`: what came behind the answer, the first bytes of the protocol proper. */
  | { readonly state: "done"; readonly rest: Uint8Array };

/** A tool may append to its answer, up to this many bytes in all. */
export const MAX_ANSWER = 64 * 1024;
const NAME_BYTES = 63;

/** What the machine sends first. */
export function greet({ uuid, name, startTime }: Identity): Uint8Array {
  return handshakeFromVm.encode({
    struct_size: handshakeFromVm.size,
    uuid,
    start_time: BigInt(Math.floor(startTime)),
    name: new TextEncoder().encode(name).subarray(0, NAME_BYTES),
  });
}

/** SHA-1 of a shared secret, as it travels. */
export async function cookieHash(secret: Uint8Array | string): Promise<Uint8Array> {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  return new Uint8Array(await crypto.subtle.digest("SHA-1", new Uint8Array(bytes)));
}

/** Collects the tool's answer, which comes in pieces of any size and may be longer than is known today. */
export class AnswerReader {
  readonly #expected: Uint8Array | null;
  readonly #answer = new Announced(handshakeFromTool.size, MAX_ANSWER);

  /** @param expected the {@link cookieHash} the tool must know; null: it is not asked for one */
  constructor(expected: Uint8Array | null) {
    this.#expected = expected;
  }

  push(bytes: Uint8Array): Greeting {
    const rest = this.#answer.push(bytes);
    const { size, complete } = this.#answer;
    if (size === null) return { state: "incomplete" };
    if (!this.#answer.valid) return { state: "refused", reason: `the tool's handshake says it has ${size} bytes` };
    if (complete === null) return { state: "incomplete" };
    const { cookie_hash } = handshakeFromTool.decode(complete);
    if (this.#expected !== null && !this.#expected.every((byte, k) => byte === cookie_hash[k]))
      return { state: "refused", reason: "the tool does not know the secret" };
    return { state: "done", rest };
  }
}
