import { RequestError } from "../../line-server.js";

/** What is asked about. */
export type Subject = "prog" | "map" | "btf" | "link";

/** Which one is meant. */
export type Handle =
  | { readonly id: number }
  | { readonly name: string }
  /** Of a program: sixteen hexadecimal digits. */
  | { readonly tag: string };

/** A request. */
export interface Query {
  readonly subject: Subject;
  readonly command: "show" | "dump" | "lookup";
  /** Null: all. */
  readonly handle: Handle | null;
  /** Of a lookup: bytes in hexadecimal. */
  readonly key: string | null;
}

/** A request that is none, or is about what is not there. The message is a sentence. */
export class QueryError extends RequestError {
  override readonly name = "QueryError";
}

const FIELDS = ["subject", "command", "id", "name", "tag", "key"];
const SUBJECTS: readonly unknown[] = ["prog", "map", "btf", "link"];
const COMMANDS: Readonly<Record<Subject, readonly unknown[]>> = {
  prog: ["show", "dump"],
  map: ["show", "dump", "lookup"],
  btf: ["show", "dump"],
  link: ["show"],
};
const HANDLES: Readonly<Record<Subject, readonly string[]>> = {
  prog: ["id", "name", "tag"],
  map: ["id", "name"],
  btf: ["id"],
  link: ["id"],
};
const EXAMPLE = 'such as {"subject":"prog","command":"show","id":1}';

/** A request as a line of JSON. */
export const queryLine = ({ subject, command, handle, key }: Query): string =>
  JSON.stringify({ subject, command, ...handle, ...(key === null ? {} : { key }) });

/** The request on a line. @throws {QueryError} for anything else */
export function parseQuery(line: string): Query {
  let given: unknown;
  try {
    given = JSON.parse(line);
  } catch {
    throw new QueryError(`no JSON: expected a request ${EXAMPLE}`);
  }
  if (typeof given !== "object" || given === null || Array.isArray(given))
    throw new QueryError(`no object: expected a request ${EXAMPLE}`);
  const { subject, command, key, ...rest } = given as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(given).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) throw new QueryError(`"${unknown}": expected one of ${FIELDS.join(", ")}`);
  if (!isSubject(subject)) throw new QueryError(`subject: expected one of ${SUBJECTS.join(", ")}`);
  if (!isCommand(subject, command))
    throw new QueryError(`command on ${subject}: expected one of ${COMMANDS[subject].join(", ")}`);
  const handle = handleOf(subject, rest);
  if (handle === null && command !== "show")
    throw new QueryError(`${command} of ${subject}: expected one of ${HANDLES[subject].join(", ")}`);
  if ((command === "lookup") !== (key !== undefined))
    throw new QueryError("expected a key for lookup, and for nothing else");
  if (key !== undefined && !isHex(key)) throw new QueryError('key: expected bytes in hexadecimal, as in "01000000"');
  return { subject, command, handle, key: key ?? null };
}

const isSubject = (given: unknown): given is Subject => SUBJECTS.includes(given);
const isCommand = (subject: Subject, given: unknown): given is Query["command"] => COMMANDS[subject].includes(given);
const isHex = (given: unknown): given is string => typeof given === "string" && /^(?:[0-9a-f]{2})*$/i.test(given);

function handleOf(subject: Subject, given: Readonly<Record<string, unknown>>): Handle | null {
  const [field, second] = Object.keys(given);
  if (field === undefined) return null;
  if (second !== undefined) throw new QueryError(`"${field}" and "${second}": expected one of them`);
  if (!HANDLES[subject].includes(field))
    throw new QueryError(`${subject} by ${field}: expected one of ${HANDLES[subject].join(", ")}`);
  const value = given[field];
  if (field === "id") {
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < 2 ** 32) return { id: value };
    throw new QueryError("id: expected a number from 0 to 4294967295");
  }
  if (typeof value !== "string") throw new QueryError(`${field}: expected a string`);
  if (field === "name") return { name: value };
  if (/^[0-9a-f]{16}$/i.test(value)) return { tag: value.toLowerCase() };
  throw new QueryError("tag: expected 16 hexadecimal digits");
}

/** A handle in words, for messages. */
export const handleText = (handle: Handle): string => Object.entries(handle).flat().join(" ");
