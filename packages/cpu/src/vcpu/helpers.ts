import { CONTROL_REGISTER_HELPERS } from "./helpers/control-registers.js";
import { DATA_HELPERS } from "./helpers/data.js";
import { DESCRIPTOR_HELPERS } from "./helpers/descriptor-tables.js";
import { FXSAVE_HELPERS } from "./helpers/fxsave.js";
import { INTERRUPT_HELPERS } from "./helpers/interrupts.js";
import { IO_HELPERS } from "./helpers/io.js";
import { SSE_HELPERS } from "./helpers/sse.js";
import { STACK_HELPERS } from "./helpers/stack.js";
import { STRING_HELPERS } from "./helpers/string.js";
import { SYSTEM_HELPERS } from "./helpers/system.js";
import { SYSTEM_CALL_HELPERS } from "./helpers/system-call.js";
import { TRANSFER_HELPERS } from "./helpers/transfer.js";
import { X87_HELPERS } from "./helpers/x87.js";
import { XSAVE_HELPERS } from "./helpers/xsave.js";
import type { Helper } from "./vcpu.js";

/** Instructions executed in TypeScript, by mnemonic. What is in neither this table nor `ROWS` raises #UD. */
export const HELPERS: ReadonlyMap<string, Helper> = new Map(
  [
    SYSTEM_HELPERS,
    CONTROL_REGISTER_HELPERS,
    DESCRIPTOR_HELPERS,
    IO_HELPERS,
    TRANSFER_HELPERS,
    INTERRUPT_HELPERS,
    SYSTEM_CALL_HELPERS,
    STACK_HELPERS,
    STRING_HELPERS,
    DATA_HELPERS,
    FXSAVE_HELPERS,
    XSAVE_HELPERS,
    SSE_HELPERS,
    X87_HELPERS,
  ].flatMap((family) => Object.entries(family)),
);
