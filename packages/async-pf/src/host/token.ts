import { TOKEN_VCPU_BITS, WAKE_ALL } from "../abi.js";

/** Numbers above the vCPU's in a token: 1 to this. */
export const MAX_TOKEN_ID = 2 ** (32 - TOKEN_VCPU_BITS) - 1;

/** vCPUs that tokens can tell apart. */
export const MAX_VCPUS = 2 ** TOKEN_VCPU_BITS;

/** Makes the tokens of one vCPU: never 0, never {@link WAKE_ALL}, none twice within a million. */
export class TokenCounter {
  /** What is above the vCPU's number in the next token. */
  nextId = 1;

  constructor(readonly vcpu: number) {}

  /** @param live whether a token is still in use */
  next(live: (token: number) => boolean): number {
    for (;;) {
      const token = ((this.nextId << TOKEN_VCPU_BITS) | this.vcpu) >>> 0;
      this.nextId = this.nextId === MAX_TOKEN_ID ? 1 : this.nextId + 1;
      if (token !== WAKE_ALL && !live(token)) return token;
    }
  }
}
