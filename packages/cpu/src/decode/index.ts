export { decode, SHAPES } from "./decode.js";
export { format } from "./format.js";
export { cloneInsn, DecodeStatus, Insn, Kind, type Mode, type Operand } from "./insn.js";
