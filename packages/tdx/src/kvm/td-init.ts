import type { Task } from "@vm/lockdep";
import { STATUS_CODE, Status } from "../module/status.js";
import type { CmdOf, TdxCmdId } from "./commands.js";
import { MAX_CPUID_ENTRIES } from "./cpuid-entry.js";
import { KvmTdxError } from "./errors.js";
import type { TdxHost } from "./host.js";

import type { HostPages } from "./ports.js";
import { type InitVm, setupTdParams } from "./td-params.js";
import { TdState, type TdVm } from "./td-vm.js";
import { reclaimControlPages, releaseHkid } from "./teardown.js";

/** TDCS.TSC_OFFSET. */
const TSC_OFFSET = 0x1100_0000_0000_000an;

/** KVM_TDX_INIT_VM, with the state guarded. Source: linux, tdx_td_init and __tdx_td_init. @throws KvmTdxError */
export async function initTd(task: Task, vm: TdVm, cmd: CmdOf<TdxCmdId.InitVm>): Promise<void> {
  const { host } = vm;
  if (vm.state !== TdState.Uninitialized) throw new KvmTdxError("EINVAL", "the TD is initialized");
  if ((cmd.flags ?? 0) !== 0) throw new KvmTdxError("EINVAL", `flags 0x${cmd.flags?.toString(16)}`);
  const init = checkedInit(cmd.data);
  if (vm.createdVcpus > 0) throw new KvmTdxError("EBUSY", "there are vCPUs");
  const { supportedXfam } = host;
  const params = setupTdParams(init, host.sysInfo, { supportedXfam, maxVcpus: vm.maxVcpus, tscKhz: vm.tscKhz });
  cmd.hwError = 0n;
  await createTd(task, vm, params.bytes, cmd);
  vm.tscOffset = readField(vm, TSC_OFFSET);
  vm.attributes = params.attributes;
  vm.xfam = params.xfam;
  vm.sharedBit = 2 ** (params.gpaw - 1);
  vm.state = TdState.Initialized;
}

function checkedInit(init: InitVm | null): InitVm {
  if (init === null) throw new KvmTdxError("EFAULT", "no parameters");
  const { cpuid, reserved = [] } = init;
  if (cpuid.entries.length > MAX_CPUID_ENTRIES)
    throw new KvmTdxError("E2BIG", `${cpuid.entries.length} CPUID entries; at most ${MAX_CPUID_ENTRIES}`);
  if (reserved.some((word) => word !== 0n) || (cpuid.padding ?? 0) !== 0)
    throw new KvmTdxError("EINVAL", "reserved fields are not 0");
  return init;
}

/** td_tdcs_exec_read64: 0 if the module does not say. */
function readField({ host, tdr }: TdVm, field: bigint): bigint {
  const { seamcalls } = host;
  return tdr !== null && seamcalls.mngRd(0, tdr, field) === Status.SUCCESS ? seamcalls.r8 : 0n;
}

async function createTd(task: Task, vm: TdVm, params: Uint8Array, cmd: CmdOf<TdxCmdId.InitVm>): Promise<void> {
  const { host } = vm;
  const { seamcalls, pages, sysInfo } = host;
  const hkid = host.hkids.alloc();
  const taken = takePages(pages, 2 + sysInfo.tdcsPages);
  const [tdr, paramsPage, ...tdcs] = taken as [number, number, ...number[]];
  if (tdr === undefined) {
    host.hkids.free(hkid);
    throw new KvmTdxError("ENOMEM", `no ${2 + sysInfo.tdcsPages} pages for a TD`);
  }
  const created = await host.lock.run(task, () => seamcalls.mngCreate(0, tdr, hkid));
  if (created !== Status.SUCCESS) {
    for (const hpa of taken) pages.free(hpa);
    host.hkids.free(hkid);
    throw refused(vm, "TDH.MNG.CREATE", created);
  }
  vm.hkid = hkid;
  vm.tdr = tdr;
  try {
    configureTd(vm, tdr, tdcs, writeParams(host, paramsPage, params), cmd);
  } catch (error) {
    for (const hpa of tdcs) if (!vm.tdcs.includes(hpa)) pages.free(hpa);
    await releaseHkid(task, vm);
    reclaimControlPages(vm);
    throw error;
  } finally {
    pages.free(paramsPage);
  }
}

/** All or none of `count` pages. */
export function takePages(pages: HostPages, count: number): number[] {
  const taken: number[] = [];
  while (taken.length < count) {
    const hpa = pages.alloc();
    if (hpa === null) {
      for (const page of taken) pages.free(page);
      return [];
    }
    taken.push(hpa);
  }
  return taken;
}

function writeParams({ memory }: TdxHost, hpa: number, params: Uint8Array): number {
  memory.page(hpa).fill(0).set(params);
  return hpa;
}

function configureTd(
  vm: TdVm,
  tdr: number,
  tdcs: readonly number[],
  params: number,
  cmd: CmdOf<TdxCmdId.InitVm>,
): void {
  const { seamcalls, packageLeaders } = vm.host;
  for (const lp of packageLeaders) {
    const status = seamcalls.mngKeyConfig(lp, tdr);
    if (vm.bugOn("TDH.MNG.KEY.CONFIG", status)) throw new KvmTdxError("EIO", "the key cannot be configured");
  }
  for (const page of tdcs) {
    const status = seamcalls.mngAddcx(0, tdr, page);
    if (status !== Status.SUCCESS) throw refused(vm, "TDH.MNG.ADDCX", status);
    vm.tdcs.push(page);
  }
  const status = seamcalls.mngInit(0, tdr, params);
  if ((status & STATUS_CODE) === Status.OPERAND_INVALID) {
    cmd.hwError = status;
    throw new KvmTdxError("EINVAL", `the module does not take operand ${status & 0xffff_ffffn} of TD_PARAMS`);
  }
  if (vm.bugOn("TDH.MNG.INIT", status)) throw new KvmTdxError("EIO", "the TD cannot be initialized");
}

/** Without entropy the caller may try again; anything else is a bug. */
function refused(vm: TdVm, call: string, status: bigint): KvmTdxError {
  if (status === Status.RND_NO_ENTROPY) return new KvmTdxError("EAGAIN", `${call}: there is no entropy`);
  vm.bugOn(call, status);
  return new KvmTdxError("EIO", `${call}: 0x${status.toString(16)}`);
}
