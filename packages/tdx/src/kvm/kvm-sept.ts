import { KvmTdxError } from "./errors.js";
import { isOperandBusy } from "./seamcalls.js";
import { TdState, type TdVm } from "./td-vm.js";
import { reclaimPage } from "./teardown.js";

/** Why nothing has changed; EBUSY asks to try again. */
export type SeptErrno = "EBUSY" | "EIO";

const PAGE = 4096;
/** Tables that one page can need, with five levels. */
const TABLES_PER_PAGE = 4;

/**
 * The secure EPT of a TD as KVM changes it: what `@vm/mmu` calls its mirror's external page table. Levels here are `@vm/mmu`'s: 1 is 4 KiB, so a table of level n hangs
 * at an entry of Intel's level n. What adds is called with mmu_lock shared, what removes with mmu_lock held exclusively.
 * Source: linux, arch/x86/kvm/vmx/tdx.c, tdx_sept_set_private_spte and tdx_sept_free_private_spt.
 */
export class KvmSept {
  readonly #vm: TdVm;
  /** Physical addresses of the tables' pages, by level and guest frame. */
  readonly #tables = new Map<string, number>();
  /** Pages for tables to come. */
  readonly #cache: number[] = [];
  #leaves = 0;

  constructor(vm: TdVm) {
    this.#vm = vm;
  }

  /** Private pages that are mapped. */
  get leaves(): number {
    return this.#leaves;
  }

  /** Pages that tables take. */
  get tables(): number {
    return this.#tables.size;
  }

  /** Before a page is mapped: takes the pages that its tables may need, for later nobody can say that there are none. @throws KvmTdxError ENOMEM */
  topup(): void {
    while (this.#cache.length < TABLES_PER_PAGE) {
      const hpa = this.#vm.host.pages.alloc();
      if (hpa === null) throw new KvmTdxError("ENOMEM", "no page for a table of the secure EPT");
      this.#cache.push(hpa);
    }
  }

  linkSpt(gfn: number, level: number): SeptErrno | null {
    const vm = this.#vm;
    const { tdr, host } = vm;
    const hpa = this.#cache.pop() ?? host.pages.alloc();
    if (tdr === null || hpa === null) return "EIO";
    const status = host.seamcalls.memSeptAdd(0, tdr, gfn * PAGE, level, hpa);
    if (status === 0n) {
      this.#tables.set(`${level}:${gfn}`, hpa);
      return null;
    }
    this.#cache.push(hpa);
    return this.#failed("TDH.MEM.SEPT.ADD", status);
  }

  setSpte(gfn: number, level: number, pfn: number): SeptErrno | null {
    const vm = this.#vm;
    if (level !== 1) {
      vm.bug(`a page of level ${level} at guest frame ${gfn}: TDs have pages of 4 KiB`);
      return "EIO";
    }
    const failed = vm.state === TdState.Runnable ? this.#aug(gfn, pfn) : this.#add(gfn, pfn);
    if (failed === null) this.#leaves++;
    return failed;
  }

  /** Before the TD is finalized: the page is part of what is measured, with what populate has in its hands. */
  #add(gfn: number, pfn: number): SeptErrno | null {
    const vm = this.#vm;
    const { tdr, host, pageAddSource } = vm;
    if (tdr === null || pageAddSource === null || vm.preFaultAllowed) {
      vm.bug(`guest frame ${gfn} is mapped before the TD is finalized, and not by populate`);
      return "EIO";
    }
    const status = host.seamcalls.memPageAdd(0, tdr, gfn * PAGE, pfn * PAGE, pageAddSource);
    return status === 0n ? null : this.#failed("TDH.MEM.PAGE.ADD", status);
  }

  /** Later, the guest has to accept it. */
  #aug(gfn: number, pfn: number): SeptErrno | null {
    const { tdr, host } = this.#vm;
    if (tdr === null) return "EIO";
    const status = host.seamcalls.memPageAug(0, tdr, gfn * PAGE, 0, pfn * PAGE);
    return status === 0n ? null : this.#failed("TDH.MEM.PAGE.AUG", status);
  }

  #failed(call: string, status: bigint): SeptErrno {
    if (isOperandBusy(status)) return "EBUSY";
    this.#vm.bugOn(call, status);
    return "EIO";
  }

  /** Ends a mapping: BLOCK, TRACK, REMOVE, and nothing of the page is left in caches or memory. If the module refuses, the VM is dead and the page stays the TD's. */
  removeSpte(gfn: number, level: number, pfn: number): void {
    const vm = this.#vm;
    const { tdr, hkid, host } = vm;
    if (tdr === null || hkid === null || level !== 1) {
      vm.bug(`guest frame ${gfn} of level ${level} is removed from a TD without a key, or is large`);
      return;
    }
    const { seamcalls } = host;
    const gpa = gfn * PAGE;
    if (this.#noVcpus("TDH.MEM.RANGE.BLOCK", () => seamcalls.memRangeBlock(0, tdr, gpa, 0))) return;
    this.#track(tdr);
    if (this.#noVcpus("TDH.MEM.PAGE.REMOVE", () => seamcalls.memPageRemove(0, tdr, gpa, 0))) return;
    this.#leaves--;
    if (vm.bugOn("TDH.PHYMEM.PAGE.WBINVD", seamcalls.phymemPageWbinvd(0, host.keyed(hkid, pfn * PAGE)))) return;
    host.memory.page(pfn * PAGE).fill(0);
  }

  /** tdx_track: whoever was in the guest when the epoch began has left it when this returns. No vCPU has run before the TD is finalized. */
  #track(tdr: number): void {
    const vm = this.#vm;
    if (vm.state !== TdState.Runnable) return;
    this.#noVcpus("TDH.MEM.TRACK", () => vm.host.seamcalls.memTrack(0, tdr));
    vm.kicks.kickAll();
  }

  /**
   * tdh_do_no_vcpus: vCPUs hold locks of the module now and then. A call that meets one is made once more, when they are all out of the guest and nobody enters;
   * then it cannot be busy. @returns whether the VM is dead of it
   */
  #noVcpus(name: string, call: () => bigint): boolean {
    const vm = this.#vm;
    let status = call();
    if (isOperandBusy(status)) {
      vm.waitForSeptZap = true;
      vm.kicks.kickAll();
      status = call();
      vm.waitForSeptZap = false;
    }
    return vm.bugOn(name, status);
  }

  /** The module keeps tables until the TD's key is free: {@link reclaim} gets them then. */
  freeSpt(): void {}

  /** Takes all tables back, after the key. */
  reclaim(): void {
    for (const hpa of this.#tables.values()) reclaimPage(this.#vm, hpa);
    this.#tables.clear();
    for (const hpa of this.#cache) this.#vm.host.pages.free(hpa);
    this.#cache.length = 0;
  }
}
