import type { MachineShape } from "../../index.js";
import { SnapshotError } from "../../node.js";
import { CHUNK_BYTES } from "../../snapshot/layout.js";
import { openSnapshot } from "../../snapshot/node/open.js";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printable } from "../printable.js";
import { jsonValue } from "./json-value.js";

export interface InspectFlags {
  readonly json?: true;
  readonly verify?: true;
}

/** `vm snapshot inspect`: says what is in a snapshot. @throws {UsageError} */
export async function inspectSnapshot(folder: string, { json, verify }: InspectFlags): Promise<number> {
  try {
    const snapshot = await openSnapshot(folder);
    try {
      if (verify) await snapshot.verify();
      const { id, meta, memslots, parents, chunks, totalBytes, storedBytes } = snapshot;
      const told = { id, meta, memslots, parents, chunks: chunks.length, totalBytes, storedBytes };
      process.stdout.write(json ? `${JSON.stringify(told, jsonValue, 2)}\n` : text(told));
    } finally {
      await snapshot.close();
    }
    return ExitCode.Ok;
  } catch (error) {
    if (error instanceof SnapshotError) throw new UsageError(error.message);
    throw error;
  }
}

interface Told {
  readonly id: string;
  readonly meta: unknown;
  readonly parents: readonly { readonly name: string }[];
  readonly chunks: number;
  readonly totalBytes: number;
  readonly storedBytes: number;
}

function text({ id, meta, parents, chunks, totalBytes, storedBytes }: Told): string {
  const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const shape = (meta ?? {}) as Partial<MachineShape>;
  const rows = [
    ["id", id],
    ["instructions", shape.instructions],
    ["processors", shape.cpus],
    ["clock", shape.clock],
    ["disks", Array.isArray(shape.disks) ? shape.disks.length : undefined],
    ["memory", `${mb(totalBytes)}, ${mb(chunks * CHUNK_BYTES)} of it not zero`],
    ["stored", mb(storedBytes)],
    ["parents", parents.map(({ name }) => name).join(", ") || "none"],
  ];
  return rows.map(([name, value]) => `${`${name}`.padEnd(13)}${printable(String(value))}\n`).join("");
}
