import { CONTROL } from "./control.js";
import { INTEGER } from "./integer.js";
import { SIMD } from "./simd.js";
import { SYSTEM } from "./system.js";
import { X87 } from "./x87.js";

/** Every mnemonic with its forms as text, first fit first. The notation is described in _notation.ts. */
export const FORMS = { ...INTEGER, ...CONTROL, ...SYSTEM, ...SIMD, ...X87 } as const;

/** A mnemonic the assembler has a method for. */
export type Mnemonic = keyof typeof FORMS;
