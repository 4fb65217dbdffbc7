import { TD_INFO, type TdInfo } from "./layout.js";

/** The 512 bytes of TDINFO. @throws {FieldError} for values that do not fit their fields */
export function encodeTdInfo(info: TdInfo): Uint8Array {
  return TD_INFO.write({ ...info, reserved: new Uint8Array(64) });
}
