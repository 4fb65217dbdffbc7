import { type BlockBackend, read, within } from "@vm/devices";
import { MachineError } from "../error.js";
import type { Disk, OverlayState } from "./disk.js";
import { DiskError } from "./error.js";

/** Characters of what a disk is called. */
const TEXT_MOST = 65536;

/** What a snapshot knows a disk by. What is on it stays where it is, but for an overlay. */
export interface DiskShape {
  /** Of 512 bytes. */
  readonly sectors: number;
  readonly readonly: boolean;
  /** See `Disk.version`; null: that could not be told. */
  readonly version: string | null;
  /** What to call it: for who reads it, nothing is opened by it. */
  readonly name: string | null;
}

/** What was written to a disk that keeps it in memory; null for another one. */
export type SavedOverlay = OverlayState | null;

export const readDiskShape = read.record<DiskShape>({
  sectors: read.integer(0, 2 ** 44),
  readonly: read.flag,
  version: read.nullOr(read.text(TEXT_MOST)),
  name: read.nullOr(read.text(TEXT_MOST)),
});

/** A machine's disk. */
export type MachineDisk = BlockBackend & Partial<Disk>;

/** What disks are like while their guest stands still, with nothing under way: what it has written is durable then. @throws {MachineError} `option` for one that cannot be saved */
export async function saveDisks(
  disks: readonly MachineDisk[],
): Promise<{ readonly shapes: readonly DiskShape[]; readonly overlays: readonly SavedOverlay[] }> {
  const shapes: DiskShape[] = [];
  const overlays: SavedOverlay[] = [];
  for (const [k, disk] of disks.entries()) {
    const { sectors, readonly, name = null } = disk;
    if (!readonly) await disk.flush();
    shapes.push({ sectors, readonly, version: (await disk.version?.()) ?? null, name });
    overlays.push(explained(k, () => disk.save?.() ?? null));
  }
  return { shapes, overlays };
}

/** Whether these are the disks of a machine that was saved. @throws {MachineError} `option` that says which is not */
export async function checkDisks(shapes: unknown, disks: readonly MachineDisk[]): Promise<void> {
  if (!Array.isArray(shapes)) throw new MachineError("option", "the snapshot does not say what disks there were");
  const known = shapes as readonly DiskShape[];
  if (known.length !== disks.length) {
    const names = known.flatMap(({ name }) => (name === null ? [] : [JSON.stringify(String(name))]));
    const which = names.length === 0 ? "" : ` (${names.join(", ")})`;
    throw new MachineError(
      "option",
      `the snapshot is of a machine with ${known.length} disks${which}, and there are ${disks.length}`,
    );
  }
  for (const [k, disk] of disks.entries()) {
    const { sectors, readonly, version } = known[k] as DiskShape;
    const differs = (what: string): MachineError =>
      new MachineError("option", `disk ${k} is not the one of the snapshot: ${what}`);
    if (disk.sectors !== sectors) throw differs(`it has ${disk.sectors} sectors instead of ${sectors}`);
    if (disk.readonly !== readonly) throw differs(readonly ? "it can be written" : "it cannot be written");
    const is = await disk.version?.();
    if (version !== null && is !== undefined && is !== version) throw differs("its image was changed since");
  }
}

/** Gives disks what they had in memory. @throws {StateError}, {@link MachineError} `option` for one that cannot take it */
export function restoreOverlays(overlays: unknown, disks: readonly MachineDisk[]): void {
  const known = within("overlays", () => read.list((value) => value as SavedOverlay, disks.length)(overlays));
  for (const [k, overlay] of known.entries()) {
    if (overlay === null) continue;
    const disk = disks[k];
    if (disk?.restore === undefined)
      throw new MachineError("option", `disk ${k} was an overlay when the machine was saved, and is none here`);
    within(`overlays[${k}]`, () => explained(k, () => disk.restore?.(overlay)));
  }
}

function explained<T>(k: number, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (!(cause instanceof DiskError)) throw cause;
    throw new MachineError("option", `disk ${k}: ${cause.message}`, { cause });
  }
}
