import { DecodeStatus, type Insn, type Mode } from "./insn.js";

/** Decodes one instruction. */
export function decode(_bytes: Uint8Array, _offset: number, _end: number, _mode: Mode, _out: Insn): DecodeStatus {
  return DecodeStatus.Invalid;
}
