import { readFileSync } from "node:fs";
import { reason, UsageError } from "./errors.js";

/** @param what what is read, for the message: a flag @throws {UsageError} that names `what`, the path and why it cannot be read */
export function readFile(what: string, path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${what === "" ? "" : `${what} `}${path}: ${reason(error)}`);
  }
}
