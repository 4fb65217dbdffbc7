/** Bytes of a CALL or JMP behind its opcode. */
const OPERAND = 4;
/** Bits of the history: whether an opcode that was left alone lies one, two, three bytes back. */
const HISTORY = 0b111;

const isOpcode = (byte: number): boolean => (byte & 0xfe) === 0xe8;
/** The top byte of a displacement that does not leave the 16 MiB around. */
const isSign = (byte: number): boolean => byte === 0 || byte === 0xff;

/**
 * Undoes the x86 branch filter of xz (The .xz File Format, 5.3.2) in place. The packer has replaced the displacement of each CALL (e8)
 * and JMP (e9) by the address it leads to, so that calls of one function look alike. What looks like such an instruction but lies
 * within the operand of another is left alone; both sides tell that by the same rule, out of the three bytes before.
 */
export class X86Filter {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #base: number;
  #at = 0;
  #history = 0;

  /** @param base address of the first byte, as the packer took it; modulo 2^32 */
  constructor(bytes: Uint8Array, base: number) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#base = base;
  }

  /** Goes on to the byte `end`. To be called in steps of any size; the last one ends where the bytes do. */
  run(end: number): void {
    const bytes = this.#bytes;
    // An operand that does not fit is none.
    const stop = Math.min(end, bytes.length - OPERAND);
    let at = this.#at;
    let history = this.#history;
    while (at < stop) {
      if (!isOpcode(bytes[at] as number)) {
        history = (history << 1) & HISTORY;
        at++;
      } else if (this.#convert(at, history)) {
        history = 0;
        at += 1 + OPERAND;
      } else {
        history = ((history << 1) | 1) & HISTORY;
        at++;
      }
    }
    this.#at = at;
    this.#history = history;
  }

  /** Gives the instruction at `at` its displacement back; false if it is left alone. */
  #convert(at: number, history: number): boolean {
    if (!isSign(this.#bytes[at + OPERAND] as number)) return false;
    const next = this.#base + at + 1 + OPERAND;
    let displacement = (this.#view.getUint32(at + 1, true) - next) | 0;
    if (history !== 0) {
      // Two opcodes before, or one whose own operand would have had a sign on top: the packer went by them.
      if ((history & (history - 1)) !== 0) return false;
      const back = 32 - Math.clz32(history);
      if (isSign(this.#bytes[at + OPERAND - back] as number)) return false;
      // The result must not have one there either, or the packer would not have come back here. It complemented the bits up to
      // that byte then; once is enough, since that makes the byte the complement of the one just looked at.
      if (isSign((displacement >>> (24 - 8 * back)) & 0xff)) {
        displacement = ((displacement ^ (2 ** (32 - 8 * back) - 1)) - next) | 0;
      }
    }
    // 25 bits, sign-extended.
    this.#view.setInt32(at + 1, (displacement << 7) >> 7, true);
    return true;
  }
}
