/** What a task sees in the pages below the image (`lib/vdso/datastore.c`, `arch/x86/entry/vdso/vma.c`). */
import type { VvarAbi } from "../vvar/abi.js";

/** Pages of the host, by their number as it counts pages. */
export interface VvarPages {
  readonly time: number;
  /** State of getrandom(2); null if there is none. */
  readonly rng: number | null;
  /** Of kvmclock and of Hyper-V; null if the machine has none. */
  readonly pvclock: number | null;
  readonly hvclock: number | null;
}

/** `pfn` is to be seen, read-only, in slot `slot`: pages from the lowest of the mapping on. */
export interface Insertion {
  readonly slot: number;
  readonly pfn: number;
}

export interface VvarFaultDesc {
  readonly abi: VvarAbi;
  readonly pages: VvarPages;
  /** Clocks that the time page was ever read by: their pages are shown from then on (`vclocks_used`). */
  readonly vclocksUsed: ReadonlySet<"pvclock" | "hvclock">;
}

/**
 * A task touches a slot that shows nothing yet. In a namespace the real page and the namespace's change places, and the real one is inserted along with the other.
 * @param namespacePage of the namespace that the task is in now; null in the first one
 * @returns what to insert, in this order; null: the access is a SIGBUS (`BUS_ADRERR`)
 */
export function vvarFault(
  desc: VvarFaultDesc,
  slot: number,
  namespacePage: number | null,
): readonly Insertion[] | null {
  const { abi, pages } = desc;
  switch (abi.pages[slot]) {
    case "time":
      if (namespacePage === null) return [{ slot, pfn: pages.time }];
      return [
        { slot: abi.pages.indexOf("timens"), pfn: pages.time },
        { slot, pfn: namespacePage },
      ];
    case "timens":
      return shown(slot, namespacePage === null ? null : pages.time);
    case "pvclock":
      return shown(slot, desc.vclocksUsed.has("pvclock") ? pages.pvclock : null);
    case "hvclock":
      return shown(slot, desc.vclocksUsed.has("hvclock") ? pages.hvclock : null);
    case "rng":
      return shown(slot, pages.rng);
    default:
      return null;
  }
}

const shown = (slot: number, pfn: number | null): readonly Insertion[] | null =>
  pfn === null ? null : [{ slot, pfn }];

/** The slots of a memory that show nothing any more once one of its tasks is in another namespace: all of `[vvar]`. */
export const zapOnSwitch = ({ vvarPages }: VvarAbi): readonly number[] =>
  Array.from({ length: vvarPages }, (_, slot) => slot);
