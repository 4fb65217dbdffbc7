export { decode } from "./decode.js";
export { format } from "./format.js";
export { DecodeStatus, Insn, Kind, type Mode, type Operand } from "./insn.js";
