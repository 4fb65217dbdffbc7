export type { Bits } from "./_match.js";
export { Assembler, type AssemblerOptions, type Mnemonics } from "./assembler.js";
export * from "./errors.js";
export type { Condition } from "./forms/conditions.js";
export type { Mnemonic } from "./forms/index.js";
export { type BuiltinGuestOptions, builtinGuest, type GuestImage } from "./guest/builtin.js";
export { Label, type ShortTarget, short } from "./label.js";
export { type Mem, type MemOptions, mem, type Operand } from "./operand.js";
export * from "./registers.js";
