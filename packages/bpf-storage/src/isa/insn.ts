import { BpfError } from "../errors.js";
import { LD_IMM64 } from "./opcodes.js";

/** One instruction as it is encoded (RFC 9669, 3.1). A 64-bit immediate load takes two; the second has opcode 0 and the upper half in `imm`. */
export interface Insn {
  /** Opcode, 0 to 255. */
  readonly code: number;
  /** Destination register, 0 to 15: what is above 10 is refused where programs are checked. */
  readonly dst: number;
  /** Source register, 0 to 15. */
  readonly src: number;
  /** Signed, 16 bits. */
  readonly off: number;
  /** Signed, 32 bits. */
  readonly imm: number;
}

/** Bytes of an instruction. */
export const INSN_SIZE = 8;

/**
 * Instructions from bytes, little-endian.
 * @throws {BpfError} EINVAL for a length that is no multiple of 8
 */
export function decodeInsns(bytes: Uint8Array): Insn[] {
  if (bytes.length % INSN_SIZE !== 0)
    throw new BpfError("EINVAL", `${bytes.length} bytes of instructions: expected a multiple of ${INSN_SIZE}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const insns: Insn[] = [];
  for (let at = 0; at < bytes.length; at += INSN_SIZE) {
    const registers = view.getUint8(at + 1);
    insns.push({
      code: view.getUint8(at),
      dst: registers & 15,
      src: registers >> 4,
      off: view.getInt16(at + 2, true),
      imm: view.getInt32(at + 4, true),
    });
  }
  return insns;
}

/** The bytes of instructions, little-endian. */
export function encodeInsns(insns: readonly Insn[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(insns.length * INSN_SIZE);
  const view = new DataView(bytes.buffer);
  insns.forEach(({ code, dst, src, off, imm }, k) => {
    const at = k * INSN_SIZE;
    view.setUint8(at, code);
    view.setUint8(at + 1, dst | (src << 4));
    view.setInt16(at + 2, off, true);
    view.setInt32(at + 4, imm, true);
  });
  return bytes;
}

/** Whether an instruction takes two places. */
export const isWide = ({ code }: Insn): boolean => code === LD_IMM64;
