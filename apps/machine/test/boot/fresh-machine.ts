import { MemoryDisk, OverlayDisk } from "../../src/index.js";
import { loadSnapshot } from "../../src/node.js";
import { type Description, goneOn } from "../boundaries.js";

/** What a process of its own is asked for: what a machine that goes on from a folder is like. */
export interface FreshWork {
  readonly folder: string;
  readonly to: number;
  /** Bytes. */
  readonly disk: number;
  readonly engine: "interpreter" | "auto";
}

/** Its answer. */
export type FreshAnswer = { readonly description: Description } | { readonly error: string };

async function answer({ folder, to, disk, engine }: FreshWork): Promise<FreshAnswer> {
  try {
    const snapshot = await loadSnapshot(folder, { lazy: true });
    const description = await goneOn(snapshot, to, { disks: [new OverlayDisk(new MemoryDisk(disk))], engine });
    await snapshot.close();
    return { description };
  } catch (error) {
    return { error: String((error as Error).stack) };
  }
}

process.on("message", async (work: FreshWork) => process.send?.(await answer(work)));
