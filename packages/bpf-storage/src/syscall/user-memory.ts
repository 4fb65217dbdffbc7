import { BpfError, ERRNO } from "../errors.js";

/** Bytes that are read of a string at once: up to where a page ends, behind which there may be nothing. */
const PAGE = 4096;
/** `PAGE_SIZE`: what is longer as an argument is refused without a look (`bpf_check_uarg_tail_zero`). */
const ARGUMENT_MOST = 4096;
/** User addresses are below 2^56 with five levels of page tables. */
const USER_END = 2 ** 56;

/** How the caller's memory is reached; addresses are numbers, which is exact where users have any. */
export interface UserPort {
  /** A copy of the bytes at an address; null if one of them cannot be read. */
  readonly readUser: (address: number, size: number) => Uint8Array | null;
  /** Writes bytes; false, whatever has been written, if one of them cannot be. */
  readonly writeUser: (address: number, bytes: Uint8Array) => boolean;
}

/** The memory of who calls: what cannot be read or written is EFAULT. */
export class UserMemory {
  constructor(readonly port: UserPort) {}

  /** @throws {BpfError} EFAULT */
  read(address: number, size: number): Uint8Array {
    if (size === 0) return new Uint8Array(0);
    const bytes = inRange(address, size) ? this.port.readUser(address, size) : null;
    return bytes ?? fault("read", address, size);
  }

  /** @throws {BpfError} EFAULT */
  write(address: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (!inRange(address, bytes.length) || !this.port.writeUser(address, bytes))
      fault("written", address, bytes.length);
  }

  /** @throws {BpfError} EFAULT */
  readU32(address: number): number {
    const bytes = this.read(address, 4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  /** @throws {BpfError} EFAULT */
  writeU32(address: number, value: number): void {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    this.write(address, bytes);
  }

  /**
   * Bytes up to a NUL, as Latin-1, or as many as there may be.
   * @throws {BpfError} EFAULT
   */
  readString(address: number, most: number): string {
    let text = "";
    while (text.length < most) {
      const at = address + text.length;
      const bytes = this.read(at, Math.min(most - text.length, PAGE - (at % PAGE)));
      const end = bytes.indexOf(0);
      for (const byte of end < 0 ? bytes : bytes.subarray(0, end)) text += String.fromCharCode(byte);
      if (end >= 0) break;
    }
    return text;
  }

  /**
   * What a caller gives of a structure, of which only `known` bytes mean something: newer callers may give more, if it is zeros.
   * @throws {BpfError} E2BIG, EFAULT
   */
  checkTail(address: number, known: number, given: number): void {
    if (given > ARGUMENT_MOST) throw new BpfError("E2BIG", `${given} bytes: expected at most ${ARGUMENT_MOST}`);
    if (given <= known) return;
    if (this.read(address + known, given - known).some((byte) => byte !== 0))
      throw new BpfError("E2BIG", `bytes ${known} to ${given} mean nothing: expected zeros`);
  }
}

const inRange = (address: number, size: number): boolean => address >= 0 && address + size <= USER_END;

const fault = (done: string, address: number, size: number): never => {
  throw new BpfError("EFAULT", `${size} bytes at 0x${address.toString(16)} cannot be ${done}`);
};

/** The negative errno of a failure; what is none of ours goes on. */
export function statusOf(error: unknown): number {
  if (error instanceof BpfError) return -ERRNO[error.code];
  throw error;
}
