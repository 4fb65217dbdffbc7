import type { Task } from "@vm/lockdep";
import type { Pfn } from "../arena.js";
import { Page } from "../bits.js";
import { KvmError } from "../kvm/errors.js";
import type { BackedSlot, Faultin, PageSource } from "../kvm/ports.js";
import type { Gfn } from "../units.js";
import { MemoryAttribute } from "./attribute-map.js";
import { Binding } from "./binding.js";
import { getPfn, tryGetPfn } from "./fault.js";
import type { Folio } from "./folio.js";
import type { Vm } from "./vm.js";

/** What the lookups need of a VM. */
export type SourceVm = Pick<Vm, "params" | "mm" | "attributes">;

/** Whether `gfn` is private by the attribute in force. */
export function isPrivate({ gmem, gfn: first }: BackedSlot, gfn: Gfn, { params, attributes }: SourceVm): boolean {
  let value: number = MemoryAttribute.None;
  if (params.vmMemoryAttributes) value = attributes.at(gfn);
  else if (gmem instanceof Binding) value = gmem.file.inode.attributes.at(gmem.pgoff + gfn - first);
  return (value & MemoryAttribute.Private) !== 0;
}

/**
 * Private memory comes from the guest_memfd, shared memory from the slot's user address, or from the guest_memfd too if that can be mapped.
 * Linux: kvm_mmu_faultin_pfn.
 */
export class GmemPageSource implements PageSource {
  constructor(readonly vm: SourceVm) {}

  isPrivate(slot: BackedSlot, gfn: Gfn): boolean {
    return isPrivate(slot, gfn, this.vm);
  }

  peekShared(slot: BackedSlot, gfn: Gfn): Pfn | 0 {
    const folio = this.#peek(slot, gfn);
    if (folio?.hwpoison) throw new KvmError("EHWPOISON", `guest frame 0x${gfn.toString(16)} is broken`);
    return folio?.uptodate ? folio.pfn : 0;
  }

  #peek({ gmemOnly, gmem, userAddr, gfn: first, slot }: BackedSlot, gfn: Gfn): Folio | undefined {
    if (!gmemOnly) return userAddr === null ? undefined : this.vm.mm.peek(userAddr + (gfn - first) * Page.Size);
    if (gmem instanceof Binding) return gmem.file.inode.peek(gmem.pgoff + gfn - first);
    throw new KvmError("EFAULT", `the guest_memfd of memslot ${slot} is closed`);
  }

  async faultinPfn(task: Task, slot: BackedSlot, gfn: Gfn, wantsPrivate: boolean): Promise<Faultin> {
    if (wantsPrivate || slot.gmemOnly) return getPfn(task, this.vm.params, slot, gfn);
    if (slot.userAddr === null) return { error: "EFAULT" };
    try {
      const folio = await this.vm.mm.gupFast(task, slot.userAddr + (gfn - slot.gfn) * Page.Size);
      // Not pinned: the notifier tells when the process unmaps it.
      folio.put();
      return { pfn: folio.pfn, writable: true };
    } catch (error) {
      if (error instanceof KvmError && error.code === "EFAULT") return { error: "EFAULT" };
      throw error;
    }
  }

  tryFaultinPfn(task: Task, slot: BackedSlot, gfn: Gfn, wantsPrivate: boolean): Faultin {
    if (wantsPrivate || slot.gmemOnly) return tryGetPfn(task, this.vm.params, slot, gfn);
    if (slot.userAddr === null) return { error: "EFAULT" };
    const folio = this.vm.mm.tryGup(task, slot.userAddr + (gfn - slot.gfn) * Page.Size);
    if (folio === "retry") return { error: "EAGAIN" };
    if (typeof folio === "string") return { error: "EFAULT" };
    folio.put();
    return { pfn: folio.pfn, writable: true };
  }
}
