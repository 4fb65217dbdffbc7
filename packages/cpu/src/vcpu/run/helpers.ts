import type { Helper } from "../context/helper.js";
import { INTERRUPT_HELPERS } from "../helpers/control/interrupts.js";
import { SYSTEM_CALL_HELPERS } from "../helpers/control/system-call.js";
import { TRANSFER_HELPERS } from "../helpers/control/transfer.js";
import { DATA_HELPERS } from "../helpers/data/data.js";
import { IO_HELPERS } from "../helpers/data/io.js";
import { STACK_HELPERS } from "../helpers/data/stack.js";
import { STRING_HELPERS } from "../helpers/data/string.js";
import { FXSAVE_HELPERS } from "../helpers/extended/fxsave.js";
import { SSE_HELPERS } from "../helpers/extended/sse.js";
import { XSAVE_HELPERS } from "../helpers/extended/xsave.js";
import { CONTROL_REGISTER_HELPERS } from "../helpers/system/control-registers.js";
import { DESCRIPTOR_HELPERS } from "../helpers/system/descriptor-tables.js";
import { SYSTEM_HELPERS } from "../helpers/system/system.js";
import { X87_HELPERS } from "../helpers/x87/x87.js";

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
