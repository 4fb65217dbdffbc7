import { SnapshotError } from "../../node.js";
import { type ChunkDifferences, compareSnapshots, type SnapshotDifferences } from "../../snapshot/compare.js";
import { openSnapshot } from "../../snapshot/node/open.js";
import type { ValueDifferences } from "../../snapshot/value-difference.js";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printable } from "../printable.js";
import { jsonValue } from "./json-value.js";

export interface DiffFlags {
  readonly json?: true;
}

/** As diff(1) has it. */
const DIFFERENT = 1;
/** Values and ranges of a kind that are told. */
const MOST = 20;

/** `vm snapshot diff`: says what differs between two snapshots. @throws {UsageError} */
export async function diffSnapshots(a: string, b: string, { json }: DiffFlags): Promise<number> {
  try {
    const first = await openSnapshot(a);
    try {
      const second = await openSnapshot(b);
      try {
        const differences = compareSnapshots(first, second, MOST);
        process.stdout.write(json ? `${JSON.stringify(differences, jsonValue, 2)}\n` : text(differences));
        return differences.same ? ExitCode.Ok : DIFFERENT;
      } finally {
        await second.close();
      }
    } finally {
      await first.close();
    }
  } catch (error) {
    if (error instanceof SnapshotError) throw new UsageError(error.message);
    throw error;
  }
}

function text({ same, meta, memslots, memory, state }: SnapshotDifferences): string {
  if (same) return "no difference\n";
  return [
    ...valueLines("meta", meta),
    ...valueLines("memslots", memslots),
    ...chunkLines("memory only in A", memory.onlyA),
    ...chunkLines("memory only in B", memory.onlyB),
    ...chunkLines("memory differs", memory.different),
    ...valueLines("state", state),
  ]
    .map((line) => `${printable(line)}\n`)
    .join("");
}

function valueLines(name: string, { count, first }: ValueDifferences): readonly string[] {
  if (count === 0) return [];
  const lines = first.map(({ path, a, b }) => `  ${path}: ${shown(a)} | ${shown(b)}`);
  return [`${name}: ${counted(count, "difference")}`, ...lines, ...more(count - first.length)];
}

function chunkLines(name: string, { chunks, bytes, ranges, first }: ChunkDifferences): readonly string[] {
  if (chunks === 0) return [];
  const lines = first.map(
    (range) => `  0x${range.gpa.toString(16)} to 0x${(range.gpa + range.bytes - 1).toString(16)}`,
  );
  return [
    `${name}: ${counted(chunks, "chunk")} of 64 KiB, ${megabytes(bytes)}`,
    ...lines,
    ...more(ranges - first.length),
  ];
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
const more = (count: number): readonly string[] => (count > 0 ? [`  and ${count} more`] : []);

/** Characters of a value that are shown. */
const WIDTH = 60;

function shown(value: unknown): string {
  if (value === undefined) return "not there";
  const json = JSON.stringify(value, jsonValue);
  return json.length > WIDTH ? `${json.slice(0, WIDTH)}...` : json;
}
