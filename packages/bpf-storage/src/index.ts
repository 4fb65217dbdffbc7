export { BpfError, ERRNO, type Errno } from "./errors.js";
export { decodeInsns, encodeInsns, type Insn } from "./isa/insn.js";
