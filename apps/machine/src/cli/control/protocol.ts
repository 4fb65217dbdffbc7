import { isAbsolute } from "node:path";
import { RequestError } from "../line-server.js";

/** Asks a machine that runs to be saved. */
export interface SaveRequest {
  /** Absolute path of the folder. */
  readonly snapshot: string;
  /** Absolute path of a snapshot beside it that stays as it is; null if there is none. */
  readonly parent: string | null;
  /** End the machine then. */
  readonly stop: boolean;
}

/** A line of the answer: bytes of memory that are done so far, and at last what came of it. */
export type SaveReply = { readonly done: number } | { readonly saved: string } | { readonly error: string };

const FIELDS = ["snapshot", "parent", "stop"];

/** The request on a line. @throws {RequestError} for anything else */
export function parseSaveRequest(line: string): SaveRequest {
  let given: unknown;
  try {
    given = JSON.parse(line);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new RequestError("a request that is no JSON");
  }
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new RequestError("a request that is no object");
  const unknown = Object.keys(given).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined)
    throw new RequestError(`${JSON.stringify(unknown.slice(0, 60))} is none of ${FIELDS.join(", ")}`);
  const { snapshot, parent = null, stop = false } = given as Record<string, unknown>;
  if (!isFolder(snapshot)) throw new RequestError("snapshot: expected the absolute path of a folder");
  if (parent !== null && !isFolder(parent)) throw new RequestError("parent: expected the absolute path of a folder");
  if (typeof stop !== "boolean") throw new RequestError("stop: expected true or false");
  return { snapshot, parent, stop };
}

const isFolder = (value: unknown): value is string =>
  typeof value === "string" && isAbsolute(value) && !value.includes("\0");
