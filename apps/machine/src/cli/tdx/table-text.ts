import type { Count, Row } from "./call-table.js";

const LEAF = 4;
const NAME = 36;
const CALLS = 10;

function statuses({ statuses: counted, calls }: Count): string {
  const most = [...counted].sort(([, a], [, b]) => b - a);
  const told = most.map(([name, times]) => `${name} ${times}`);
  const unanswered = calls - most.reduce((sum, [, times]) => sum + times, 0);
  return [...told, ...(unanswered > 0 ? [`without an answer ${unanswered}`] : [])].join(", ");
}

const line = (leaf: string, name: string, row: Count): string =>
  `${leaf.padStart(LEAF)} ${name.padEnd(NAME)} ${`${row.calls}`.padStart(CALLS)} ${statuses(row)}`.trimEnd();

/** The table for a person: a line a leaf, and below TDG.VP.VMCALL one a sub-function with what the host answered. */
export function tableText(rows: readonly Row[]): string {
  const head = `${"leaf".padStart(LEAF)} ${"name".padEnd(NAME)} ${"calls".padStart(CALLS)} statuses`;
  const lines = rows.flatMap((row) => [
    line(row.leaf === null ? "-" : `${row.leaf}`, row.leaf === null ? `${row.name} ${row.kind}` : row.name, row),
    ...[...row.subFunctions].sort().map(([name, sub]) => line("", `  ${name}`, sub)),
  ]);
  return `${[head, ...lines].join("\n")}\n`;
}

/** For a program. */
export function tableJson(rows: readonly Row[]): object {
  const counted = ({ calls, statuses: each }: Count) => ({ calls, statuses: Object.fromEntries(each) });
  return {
    leaves: rows.map(({ kind, leaf, name, subFunctions, ...row }) => ({
      ...{ kind, leaf, name, ...counted(row) },
      ...(subFunctions.size === 0
        ? {}
        : { subFunctions: Object.fromEntries([...subFunctions].map(([sub, count]) => [sub, counted(count)])) }),
    })),
  };
}
