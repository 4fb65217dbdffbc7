import type { TdxCall } from "../../index.js";
import { reason, UsageError } from "../errors.js";
import { bootTd, type TdBootFlags } from "../td/boot.js";
import { CallTable } from "./call-table.js";
import { callJson, callLine } from "./call-text.js";
import { FileLines, type Lines, StdoutLines } from "./lines.js";
import { tableJson, tableText } from "./table-text.js";

/** The flags of `vm tdx trace`: those of `vm td boot`, and its own. */
export interface TdxTraceFlags extends TdBootFlags {
  readonly calls?: true;
  readonly json?: true;
  readonly output?: string;
}

/**
 * `vm tdx trace`: boots a TD, and tells what was asked of the TDX module. Returns the status of the program.
 * @throws {UsageError} before anything has started, or if what is told cannot be written
 */
export async function traceTdx(flags: TdxTraceFlags): Promise<number> {
  const { output, json, calls } = flags;
  const table = new CallTable();
  const lines: Lines = output === undefined ? new StdoutLines() : openFile(output);
  const tell = json ? callJson : callLine;
  const onTrace = (call: TdxCall): void => {
    table.add(call);
    if (calls) lines.write(`${tell(call)}\n`);
  };
  try {
    const status = await bootTd(flags, { onTrace }, [lines]);
    const rows = tableJson(table.rows);
    lines.write(json ? `${JSON.stringify(rows, null, calls ? 0 : 2)}\n` : tableText(table.rows));
    return status;
  } finally {
    await closing(lines, output);
  }
}

function openFile(path: string): FileLines {
  try {
    return new FileLines(path);
  } catch (error) {
    throw new UsageError(`--output ${path}: ${reason(error)}`);
  }
}

async function closing(lines: Lines, output: string | undefined): Promise<void> {
  const error = await lines.close();
  if (error !== null) throw new UsageError(`--output ${output}: ${reason(error)}`);
}
