import { BpfError } from "../errors.js";

/**
 * Helper prototypes are tables of text, one row a helper, and become {@link Prototype}s here.
 *
 * Arguments, separated by commas: a kind, `?` where NULL is accepted, then what holds of it after colons:
 * - `ctx`, `map` (a map of the program), `key` and `value` (memory of the map's key or value size), `any` (no pointer kind asked for),
 *   `scalar`, `func` (a function of the program), `str` (constant string in a read-only map), `lock`, `timer`, `percpu` (per-CPU symbol),
 *   `sock_common`, `sk` (any socket pointer, or a BTF pointer to sock_common), `socket`, `stack`, `kptr_dest`, `kptr`, `ringbuf` (a record)
 * - `mem` (read by the helper), `mem:out` (written, may be uninitialised), `mem:write` (written), `mem:plain` (the kernel says neither
 *   that it is written nor that it stays as it is: taken as written), `fixed:N` (N bytes), followed by `size` or `size0` (which may be zero) for the first four
 * - `alloc` (constant size of the result), `btf:NAME` (pointer to a struct of the kernel), `dynptr[:local|:ringbuf][:new]`
 * - `:release` gives the reference back
 *
 * Results: `int`, `void`, or a pointer kind with `?` where it may be NULL, and `:trusted`.
 * Flags: `gpl` (GPL-compatible programs only), `packet` (arguments may be packet pointers), `sleeps` (sleepable programs only).
 */
export type PrototypeRow = readonly [id: number, name: string, args: string, result: string, flags?: string];

export const ARG_KINDS = [
  ..."any ctx map key value scalar func str lock timer percpu sock_common sk socket stack kptr_dest kptr".split(" "),
  ..."ringbuf mem fixed size size0 alloc btf dynptr".split(" "),
] as const;

export interface ArgSpec {
  /** One of {@link ARG_KINDS}. */
  readonly kind: string;
  readonly nullable: boolean;
  /** The memory need not be initialised. */
  readonly uninit: boolean;
  /** The helper writes the memory. */
  readonly write: boolean;
  /** The kernel promises not to write the memory. */
  readonly readOnly: boolean;
  readonly release: boolean;
  /** Bytes, of `fixed`. */
  readonly size: number;
  /** Name of the kernel's struct, of `btf`. */
  readonly struct: string | undefined;
  /** Kind of dynptr that is asked for or made. */
  readonly dynptr: "local" | "ringbuf" | undefined;
}

export interface ResultSpec {
  readonly kind: string;
  readonly nullable: boolean;
  readonly trusted: boolean;
  readonly struct: string | undefined;
}

/** What the verifier and the runtime need to know of one helper. */
export interface Prototype {
  readonly id: number;
  readonly name: string;
  readonly args: readonly ArgSpec[];
  readonly result: ResultSpec;
  readonly gplOnly: boolean;
  readonly packetAccess: boolean;
  readonly mightSleep: boolean;
}

const parseArg = (text: string): ArgSpec => {
  const [head = "", ...marks] = text.split(":");
  const kind = head.replace("?", "");
  if (!(ARG_KINDS as readonly string[]).includes(kind))
    throw new BpfError("EINVAL", `argument "${text}": kinds are ${ARG_KINDS.join(", ")}`);
  const has = (mark: string): boolean => marks.includes(mark);
  return {
    kind,
    nullable: head.endsWith("?"),
    uninit: has("out") || has("new"),
    write: has("out") || has("write") || has("new") || has("plain"),
    readOnly: kind === "mem" && marks.length === 0,
    release: has("release"),
    size: kind === "fixed" ? Number(marks[0]) : 0,
    struct: kind === "btf" ? marks[0] : undefined,
    dynptr: has("local") ? "local" : has("ringbuf") ? "ringbuf" : undefined,
  };
};

const parseResult = (text: string): ResultSpec => {
  const [head = "", struct, mark] = text.split(":");
  return { kind: head.replace("?", ""), nullable: head.endsWith("?"), trusted: mark === "trusted", struct };
};

/** A row as a prototype. @throws {BpfError} EINVAL for an argument of no known kind */
export const parsePrototype = ([id, name, args, result, flags = ""]: PrototypeRow): Prototype => ({
  id,
  name,
  args: args === "" ? [] : args.split(", ").map(parseArg),
  result: parseResult(result),
  gplOnly: flags.includes("gpl"),
  packetAccess: flags.includes("packet"),
  mightSleep: flags.includes("sleeps"),
});
