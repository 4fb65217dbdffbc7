import type { Task } from "@vm/lockdep";
import { type CmdOf, MEASURE_MEMORY_REGION, type MemRegion, type TdxCmdId } from "./commands.js";
import { KvmTdxError } from "./errors.js";
import type { KvmSept } from "./kvm-sept.js";
import { TdState, type TdVm } from "./td-vm.js";
import { VcpuTdState, type VcpuTdx } from "./vcpu-tdx.js";

const PAGE = 4096;
/** Bytes that one TDH.MR.EXTEND measures. */
const EXTEND_CHUNK = 256;
const END_OF_ADDRESSES = 2 ** 64;

/**
 * KVM_TDX_INIT_MEM_REGION, with the state guarded: page by page into the guest, each one measured before the next is added. `data` says afterwards what is left.
 * Source: linux, tdx_vcpu_init_mem_region. @throws KvmTdxError, and what populate throws
 */
export async function initMemRegion(
  task: Task,
  vm: TdVm,
  sept: KvmSept,
  vcpu: VcpuTdx,
  cmd: CmdOf<TdxCmdId.InitMemRegion>,
  signalPending: () => boolean,
): Promise<void> {
  const { flags = 0, data: region } = cmd;
  if (vcpu.state !== VcpuTdState.Initialized) throw new KvmTdxError("EINVAL", `vCPU ${vcpu.id} is not initialized`);
  if (vm.state === TdState.Runnable) throw new KvmTdxError("EINVAL", "the TD is finalized");
  if ((flags & ~MEASURE_MEMORY_REGION) !== 0) throw new KvmTdxError("EINVAL", `flags 0x${flags.toString(16)}`);
  if (region === null) throw new KvmTdxError("EFAULT", "no region");
  checkRegion(vm, region);
  const measure = (flags & MEASURE_MEMORY_REGION) !== 0;
  while (region.nrPages > 0) {
    if (signalPending()) throw new KvmTdxError("EINTR", "a signal waits");
    await initPage(task, vm, sept, region, measure, signalPending);
    if (region.sourceAddr !== 0) region.sourceAddr += PAGE;
    region.gpa += PAGE;
    region.nrPages--;
  }
}

function checkRegion(vm: TdVm, { sourceAddr, gpa, nrPages }: MemRegion): void {
  const size = nrPages * PAGE;
  if (sourceAddr % PAGE !== 0 || gpa % PAGE !== 0 || !(sourceAddr >= 0) || !(gpa >= 0))
    throw new KvmTdxError("EINVAL", `from ${sourceAddr} to ${gpa}: multiples of ${PAGE}`);
  if (sourceAddr === 0 && !vm.inPlaceConversion)
    throw new KvmTdxError("EINVAL", "without a source; only pages that are converted in place have content already");
  if (!Number.isInteger(nrPages) || nrPages <= 0 || gpa + size > END_OF_ADDRESSES)
    throw new KvmTdxError("EINVAL", `${nrPages} pages at 0x${gpa.toString(16)}`);
  if (!vm.isPrivateGpa(gpa) || !vm.isPrivateGpa(gpa + size - 1))
    throw new KvmTdxError("EINVAL", `${nrPages} pages at 0x${gpa.toString(16)} are not all private`);
}

async function initPage(
  task: Task,
  vm: TdVm,
  sept: KvmSept,
  region: MemRegion,
  measure: boolean,
  signalPending: () => boolean,
): Promise<void> {
  const { memory } = vm;
  const done = await memory.populate(task, {
    startGfn: region.gpa / PAGE,
    source: region.sourceAddr === 0 ? null : region.sourceAddr,
    pages: 1,
    signalPending,
    postPopulate: async (gfn, pfn, source) => {
      if (vm.pageAddSource !== null) {
        vm.bug("two pages are added at once");
        throw new KvmTdxError("EIO", "two pages are added at once");
      }
      sept.topup();
      vm.pageAddSource = (source?.pfn ?? pfn) * PAGE;
      try {
        await memory.mapPrivatePfn(task, gfn, pfn, signalPending);
      } finally {
        vm.pageAddSource = null;
      }
      if (measure) extend(vm, gfn * PAGE);
    },
  });
  if (done !== 1) throw new KvmTdxError("EIO", `populate has done ${done} pages of 1`);
}

/** The page is there and cannot go: invalidate_lock is held. */
function extend(vm: TdVm, gpa: number): void {
  const { tdr, host } = vm;
  if (tdr === null) throw new KvmTdxError("EIO", "the TD is gone");
  for (let at = 0; at < PAGE; at += EXTEND_CHUNK)
    if (vm.bugOn("TDH.MR.EXTEND", host.seamcalls.mrExtend(0, tdr, gpa + at)))
      throw new KvmTdxError("EIO", `0x${(gpa + at).toString(16)} cannot be measured`);
}
