import type { Instance } from "../code/instance.js";
import { Kind, type Operand } from "../decode/index.js";
import type { Row } from "../sem/ctx.js";
import { ROWS } from "../sem/index.js";
import { stringCompareRow } from "./string-compare.js";
import { stringRow } from "./strings.js";
import { timestampRow } from "./timestamp.js";
import { x87Row } from "./x87.js";

/** An instruction of a region. */
export interface Piece {
  readonly instance: Instance;
  readonly row: Row;
  /** Page offset. */
  readonly offset: number;
  /** Address of the interpreter's first record of it. */
  readonly record: number;
}

const BY_NAME = new Map<string, Row[]>();
for (const row of ROWS) {
  const rows = BY_NAME.get(row.name);
  if (rows === undefined) BY_NAME.set(row.name, [row]);
  else rows.push(row);
}

/** Rows that a region leaves to the interpreter: they end a slice, or always fault. */
const NEVER: ReadonlySet<string> = new Set(["sti", "ud2", "bitaddr"]);

/** Rows by number of the template. */
const known: (Row | null | undefined)[] = [];

/** The row that says what `instance` does in a region, or null if the interpreter must execute it. */
export function rowOfInstance(instance: Instance): Row | null {
  if (instance.executor === "helper") {
    const { insn } = instance;
    return x87Row(insn) ?? stringRow(insn) ?? timestampRow(insn);
  }
  if (instance.name === "pcmpistri") return stringCompareRow(instance.insn);
  const { number } = instance.template;
  let row = known[number];
  if (row === undefined) {
    row = findRow(instance);
    // Without large gaps an array stays one.
    while (known.length < number) known.push(undefined);
    known[number] = row;
  }
  return row;
}

function findRow(instance: Instance): Row | null {
  if (instance.executor !== "row" || NEVER.has(instance.name)) return null;
  const rows = BY_NAME.get(instance.name) as readonly Row[];
  const { form } = instance;
  const size = instance.size as Row["sizes"][number];
  const fits = (wanted: string): Row | undefined =>
    rows.find((row) => row.sizes.includes(size) && row.forms.includes(wanted));
  return fits(form) ?? fits(form.replace("m", "r")) ?? fits(form.replace("m", "x")) ?? null;
}

/** Operand `k` as a number if it is an immediate of 32 bits, sign-extended; else null. */
export function constantOf({ insn, form }: Instance, k: number): number | null {
  if (form[k] !== "i") return null;
  if (k >= insn.nops) return 0;
  const { kind } = insn.operands[k] as Operand;
  return kind === Kind.Imm || kind === Kind.Const1 ? insn.immLo | 0 : null;
}
