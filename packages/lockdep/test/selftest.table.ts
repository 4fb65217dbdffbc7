/**
 * Truth table of the kernel's locking self-test (lib/locking-selftest.c): sequences of one task, and for which kinds of locks the validator
 * must speak. Words of the language: `L(A)` takes and `U(A)` gives back a lock of the kind the row is run for; `WL RL` a rwlock, `ML` a mutex,
 * `WSL RSL` a rw-semaphore, `S` a spinlock, with `...U` to give back; `I(A)` makes a lock new. A to D are a class each; X1 and X2 share
 * a class, and so do Y and Z.
 *
 * Not in it: rows with interrupts and with ww_mutexes, which this package has not.
 */

/** Kinds a generic row is run for, in the order of the self-test's columns; rlock reads recursively there. */
export const KINDS = ["spin", "wlock", "rlock", "mutex", "wsem", "rsem"] as const;
export type Kind = (typeof KINDS)[number];

const pair = (first: string, second: string): string => `L(${first}) L(${second}) U(${second}) U(${first})`;
const all = (expected: boolean): Record<Kind, boolean> => ({
  spin: expected,
  wlock: expected,
  rlock: expected,
  mutex: expected,
  wsem: expected,
  rsem: expected,
});
/** Orders that cannot deadlock if everybody is a recursive reader. */
const BUT_RLOCK: Record<Kind, boolean> = { ...all(true), rlock: false };

export interface GenericRow {
  readonly name: string;
  readonly program: string;
  /** For each kind whether there must be a report. */
  readonly reports: Record<Kind, boolean>;
}

const orders = (...pairs: string[]): string => pairs.map((two) => pair(two[0] ?? "", two[1] ?? "")).join(" ");

export const generic: readonly GenericRow[] = [
  { name: "AA", program: "L(X1) L(X2)", reports: BUT_RLOCK },
  { name: "ABBA", program: orders("AB", "BA"), reports: BUT_RLOCK },
  { name: "ABBCCA", program: orders("AB", "BC", "CA"), reports: BUT_RLOCK },
  { name: "ABCABC", program: orders("AB", "CA", "BC"), reports: BUT_RLOCK },
  { name: "ABBCCDDA", program: orders("AB", "BC", "CD", "DA"), reports: BUT_RLOCK },
  { name: "ABCDBDDA", program: orders("AB", "CD", "BD", "DA"), reports: BUT_RLOCK },
  { name: "ABCDBCDA", program: orders("AB", "CD", "BC", "DA"), reports: BUT_RLOCK },
  { name: "double unlock", program: "L(A) U(A) U(A)", reports: all(true) },
  { name: "initialize held", program: "L(A) I(A)", reports: all(true) },
  { name: "one order", program: orders("AB", "BC", "AC", "CD", "AD"), reports: all(false) },
];

export interface Row {
  readonly name: string;
  readonly program: string;
  readonly report: boolean;
}

const rlockAbba1 = "RL(X1) S(Y1) SU(Y1) RU(X1)";
const rsemAbba1 = "RSL(X1) ML(Y1) MU(Y1) RSU(X1)";

export const specific: readonly Row[] = [
  { name: "recursive read-lock, rlock", program: "RL(X1) RL(X1)", report: false },
  { name: "recursive read-lock, rsem", program: "RSL(X1) RSL(X1)", report: true },
  { name: "recursive read-lock #2, rlock", program: "RL(X1) RL(X2)", report: false },
  { name: "recursive read-lock #2, rsem", program: "RSL(X1) RSL(X2)", report: true },
  { name: "mixed read-write-lock, rlock", program: "RL(X1) WL(X2)", report: true },
  { name: "mixed read-write-lock, rsem", program: "RSL(X1) WSL(X2)", report: true },
  { name: "mixed write-read-lock, rlock", program: "WL(X1) RL(X2)", report: true },
  { name: "mixed write-read-lock, rsem", program: "WSL(X1) RSL(X2)", report: true },
  { name: "mixed R-L/L-W ABBA, rlock", program: `${rlockAbba1} S(Y1) WL(X1) WU(X1) SU(Y1)`, report: true },
  { name: "mixed R-L/L-W ABBA, rsem", program: `${rsemAbba1} ML(Y1) WSL(X1) WSU(X1) MU(Y1)`, report: true },
  { name: "mixed R-L/L-R ABBA, rlock", program: `${rlockAbba1} S(Y1) RL(X1) RU(X1) SU(Y1)`, report: false },
  { name: "mixed R-L/L-R ABBA, rsem", program: `${rsemAbba1} ML(Y1) RSL(X1) RSU(X1) MU(Y1)`, report: true },
  {
    name: "mixed W-L/L-W ABBA, rlock",
    program: "WL(X1) S(Y1) SU(Y1) WU(X1) S(Y1) WL(X1) WU(X1) SU(Y1)",
    report: true,
  },
  {
    name: "mixed W-L/L-W ABBA, rsem",
    program: "WSL(X1) ML(Y1) MU(Y1) WSU(X1) ML(Y1) WSL(X1) WSU(X1) MU(Y1)",
    report: true,
  },
  {
    name: "chain cached mixed R-L/L-W ABBA, rlock",
    program: `${rlockAbba1} S(Y1) RL(X1) RU(X1) SU(Y1) S(Y1) WL(X1) WU(X1) SU(Y1)`,
    report: true,
  },
];

/** Three events, run in every order: reported in each or in none. */
export interface PermutedRow {
  readonly name: string;
  readonly events: readonly [string, string, string];
  readonly report: boolean;
}

const nested = (outer: string, first: string, inner: string, second: string): string =>
  `${outer}L(${first}) ${inner}L(${second}) ${inner}U(${second}) ${outer}U(${first})`;

export const permuted: readonly PermutedRow[] = [
  {
    name: "W1R2 W2R3 W3R1",
    events: [nested("W", "X1", "R", "Y1"), nested("W", "Y1", "R", "Z1"), nested("W", "Z1", "R", "X1")],
    report: true,
  },
  {
    name: "W1W2 R2R3 W3R1",
    events: [nested("W", "X1", "W", "Y1"), nested("R", "Y1", "R", "Z1"), nested("W", "Z1", "R", "X1")],
    report: true,
  },
  {
    name: "W1W2 R2R3 R3W1",
    events: [nested("W", "X1", "W", "Y1"), nested("R", "Y1", "R", "Z1"), nested("R", "Z1", "W", "X1")],
    report: false,
  },
  {
    name: "W1R2 R2R3 W3W1",
    events: [nested("W", "X1", "R", "Y1"), nested("R", "Y1", "R", "Z1"), nested("W", "Z1", "W", "X1")],
    report: false,
  },
];

/** What may be taken (columns) in what is held (rows): the self-test's wait contexts. */
export const waitContexts: readonly { readonly outer: string; readonly allowed: readonly string[] }[] = [
  { outer: "rcu", allowed: ["rcu", "raw", "spin"] },
  { outer: "rcu-bh", allowed: ["rcu", "raw", "spin"] },
  { outer: "rcu-sched", allowed: ["rcu", "raw"] },
  { outer: "raw", allowed: ["rcu", "raw"] },
  { outer: "spin", allowed: ["rcu", "raw", "spin"] },
  { outer: "mutex", allowed: ["rcu", "raw", "spin", "mutex"] },
];
