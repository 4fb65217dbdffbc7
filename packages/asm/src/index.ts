export type { Bits } from "./_match.js";
export { Assembler, type AssemblerOptions, type Mnemonics } from "./assembler.js";
export * from "./errors.js";
export type { Condition } from "./forms/conditions.js";
export type { Mnemonic } from "./forms/index.js";
export { Label, short, type ShortTarget } from "./label.js";
export { mem, type Mem, type MemOptions, type Operand } from "./operand.js";
export * from "./registers.js";
export { builtinGuest, type BuiltinGuestOptions, type GuestImage } from "./guest/builtin.js";
