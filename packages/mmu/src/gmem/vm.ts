import type { VmLocks } from "../kvm/locks.js";
import type { KvmParams } from "../kvm/params.js";
import type { BackedSlot, GfnRangeTarget } from "../kvm/ports.js";
import type { Gfn } from "../units.js";
import type { AttributeMap } from "./attribute-map.js";
import type { Mm } from "./mm.js";

/** What guest_memfd needs of a VM. */
export interface Vm {
  readonly params: KvmParams;
  readonly locks: VmLocks;
  /** Address space of the process that runs the VM. */
  readonly mm: Mm;
  /** Whether the guest can have private memory (kvm_arch_has_private_mem). */
  readonly hasPrivateMem: boolean;
  /** Attributes of the guest frames, `[0, attributes.end)`; under slots_lock. */
  readonly attributes: AttributeMap;
  readonly target: GfnRangeTarget;
  readonly slots: SlotTable;
}

/** The memslots of a VM: read under srcu or slots_lock. */
export interface SlotTable {
  find(gfn: Gfn): BackedSlot | null;
  readonly all: readonly BackedSlot[];
}
