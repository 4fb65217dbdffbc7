import { BpfError } from "../errors.js";

/** Why an object is not loaded. */
export type ObjectErrorCode =
  /** No 64-bit little-endian relocatable object of eBPF. */
  | "format"
  /** Something lies outside of the bytes, or is said to. */
  | "truncated"
  /** More of something than is accepted. */
  | "limit"
  /** Its type information cannot be read, or does not say what is needed. */
  | "btf"
  /** A map is not defined as libbpf 1.x expects it. */
  | "map"
  /** A section of code is no program of a known type, or not made of functions. */
  | "program"
  /** A reference to a symbol leads nowhere. */
  | "relocation"
  /** Something of the kernel that the object needs is not there, or of another type. */
  | "extern"
  /** A place of CO-RE cannot be relocated, which is not the same as a field that is missing. */
  | "core";

/** An object that cannot be loaded. The message names what was wrong and what would be accepted. */
export class ObjectError extends Error {
  override readonly name = "ObjectError";

  constructor(
    readonly code: ObjectErrorCode,
    message: string,
  ) {
    super(message);
  }
}

/** Does something with type information, whose own errors are then the object's. */
export function reading<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof BpfError) throw new ObjectError("btf", `${what}: ${error.message}`);
    throw error;
  }
}
