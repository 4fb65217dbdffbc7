/** What goes on around a TD: each a program of one task, some parts of which are chosen. */

import type { Task } from "@vm/lockdep";
import { Falloc, fallocate, KvmError, MemslotError, PrivateMemoryError, UserFault } from "@vm/mmu";
import { KvmTdxError, MEASURE_MEMORY_REGION, type TdExit, TdxCmdId } from "@vm/tdx";
import { FIRST_GFN, PAGES, type TdHost, type Vcpu } from "./host.js";
import type { Model } from "./model.js";
import { PAGE } from "./platform.js";
import type { Choose } from "./scheduler.js";

const SHARED_BIT = 2n ** 47n;
const MAP_GPA = 0x10001n;

/** How often what happened. */
export class Outcomes {
  readonly counts = new Map<string, number>();

  add(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

export interface World {
  readonly host: TdHost;
  readonly model: Model;
  readonly choose: Choose;
  readonly outcomes: Outcomes;
}

export type Program = (world: World, task: Task) => Promise<void>;

/** Runs `body` and counts how it ended; what the kernel may refuse, it may refuse. */
async function allowed({ outcomes }: World, what: string, body: () => unknown): Promise<void> {
  let how = "done";
  try {
    await body();
  } catch (error) {
    if (error instanceof UserFault) how = error.signal;
    else if (error instanceof KvmError || error instanceof MemslotError || error instanceof KvmTdxError)
      how = error.code;
    else throw error;
  }
  outcomes.add(`${what}: ${how}`);
}

function range(choose: Choose): { first: number; count: number } {
  const first = choose(PAGES);
  return { first, count: 1 + choose(PAGES - first) };
}

const vcpuOf = ({ host, choose }: World): Vcpu => host.vcpus[choose(host.vcpus.length)] as Vcpu;

/** KVM_TDX_INIT_MEM_REGION; the source is memory that nobody has touched, or what is in the pages already. */
export const initMemRegion: Program = async (world, task) => {
  const { host, choose } = world;
  const { mm } = host.mmu.vm;
  const { first, count } = range(choose);
  const isThere = host.kind.inPlace && choose(3) === 0;
  const source = isThere ? 0 : await mm.mmap(task, { length: count * PAGE });
  const data = { sourceAddr: source, gpa: (FIRST_GFN + first) * PAGE, nrPages: count };
  const flags = choose(2) * MEASURE_MEMORY_REGION;
  const { kvm } = vcpuOf(world);
  await allowed(world, "INIT_MEM_REGION", () =>
    host.kvm.vcpuIoctl(task, kvm, { id: TdxCmdId.InitMemRegion, flags, data }),
  );
  if (data.nrPages > 0 && data.nrPages < count) world.outcomes.add("INIT_MEM_REGION: in part");
  if (!isThere) await mm.munmap(task, source, count * PAGE);
};

export const finalize: Program = async (world, task) => {
  await allowed(world, "FINALIZE_VM", () => world.host.kvm.vmIoctl(task, { id: TdxCmdId.FinalizeVm, data: null }));
};

export const getCpuid: Program = async (world, task) => {
  const { kvm } = vcpuOf(world);
  const data = { nent: 256 };
  await allowed(world, "GET_CPUID", () => world.host.kvm.vcpuIoctl(task, kvm, { id: TdxCmdId.GetCpuid, data }));
};

/** KVM_RUN until the guest has done what it wants. */
async function runUntilDone(world: World, task: Task, { kvm, cpu }: Vcpu): Promise<void> {
  const { host, outcomes } = world;
  for (let tries = 0; tries < 12 && cpu.wish !== null; tries++) {
    await host.scheduler.stop(task);
    let exit: TdExit | undefined;
    await allowed(world, "KVM_RUN", async () => {
      exit = await host.kvm.run(task, kvm);
    });
    if (exit === undefined) return;
    outcomes.add(`exit: ${exit.reason}`);
    if (exit.reason === "memory-fault") return;
  }
}

/** The guest writes to private memory, and accepts it before if it has to. */
export const guestWrites: Program = async (world, task) => {
  const { model, choose, outcomes } = world;
  const vcpu = vcpuOf(world);
  const stamp = model.newStamp();
  model.secrets.add(stamp);
  vcpu.cpu.wish = { kind: "write", gfn: FIRST_GFN + choose(PAGES), stamp };
  const { accepted } = vcpu.cpu;
  await runUntilDone(world, task, vcpu);
  if (vcpu.cpu.accepted > accepted) outcomes.add("guest: accepts");
};

export const guestConverts: Program = async (world, task) => {
  const { choose } = world;
  const vcpu = vcpuOf(world);
  const { first, count } = range(choose);
  const gpa = BigInt((FIRST_GFN + first) * PAGE) + (choose(2) === 0 ? SHARED_BIT : 0n);
  vcpu.cpu.wish = { kind: "vmcall", registers: { R11: MAP_GPA, R12: gpa, R13: BigInt(count * PAGE) } };
  await runUntilDone(world, task, vcpu);
};

/**
 * A vCPU that stays in the guest for a while, as one on a processor of its own does: with translations in its TLB, and now and then with a lock of the module's,
 * for the length of a TDCALL. A kick ends it.
 */
export const guestStays: Program = async (world, task) => {
  const { host, choose, outcomes } = world;
  const vcpu = vcpuOf(world);
  if (!vcpu.kvm.mutex.tryLock(task)) return;
  try {
    const { td } = host;
    if (td === undefined || !host.isFinal || host.kvm.isDead || vcpu.kvm.isWaiting || vcpu.leave !== null) return;
    const epoch = td.epoch.enter();
    if (vcpu.cpu.vcpu.epoch !== epoch) vcpu.cpu.flushTlb();
    vcpu.cpu.vcpu.epoch = epoch;
    let release = (): void => undefined;
    const leave = (): void => {
      release();
      release = () => undefined;
      td.epoch.leave(epoch);
    };
    vcpu.leave = leave;
    for (let k = 2 + choose(10); k > 0 && vcpu.leave === leave; k--) {
      vcpu.cpu.translate(FIRST_GFN + choose(PAGES));
      if (choose(2) === 0 && td.septLock.isFree)
        release = host.platform.module.hold(td.septLock, choose(2) === 0 ? "shared" : "exclusive");
      await host.scheduler.stop(task);
      if (vcpu.leave !== leave) outcomes.add("vCPU in the guest: kicked");
      else release();
      release = () => undefined;
    }
    if (vcpu.leave === leave) {
      leave();
      vcpu.leave = null;
    }
  } finally {
    vcpu.kvm.mutex.unlock(task);
  }
};

export const convert: Program = async (world, task) => {
  const { host, choose } = world;
  const { first, count } = range(choose);
  await allowed(world, "convert", () => host.convert(task, first, count, choose(2) === 0));
};

export const punchHole: Program = async ({ host, choose }, task) => {
  const { first, count } = range(choose);
  await fallocate(task, host.gmem, Falloc.KeepSize | Falloc.PunchHole, first * PAGE, count * PAGE);
};

/** The process writes to shared memory. */
export const userStores: Program = async (world, task) => {
  const { host, choose } = world;
  const bytes = new Uint8Array(Uint32Array.of(0x8000_0000 + choose(1000)).buffer);
  await allowed(world, "store", () => host.mmu.vm.mm.store(task, host.userAddr + choose(PAGES) * PAGE, bytes));
};

/** A device of the host reads by guest-physical addresses, without waiting. */
export const hostReads: Program = async ({ host, model, choose, outcomes }, task) => {
  await host.scheduler.stop(task);
  let how = "done";
  try {
    const value = host.mmu.readU32((FIRST_GFN + choose(PAGES)) * PAGE);
    if (model.secrets.has(value)) throw new Error("the host has read what the guest has for itself");
  } catch (error) {
    if (error instanceof PrivateMemoryError) how = "refused";
    else if (error instanceof KvmError) how = error.code;
    else throw error;
  }
  outcomes.add(`host reads: ${how}`);
};

export const changeMemslot: Program = async (world, task) => {
  await allowed(world, "delete memslot", () => world.host.deleteRegion(task));
  await allowed(world, "create memslot", () => world.host.createRegion(task));
};

/** Something that waits for mmap_lock exclusively. */
export const mapMemory: Program = async ({ host }, task) => {
  const { mm } = host.mmu.vm;
  await mm.munmap(task, await mm.mmap(task, { length: PAGE }), PAGE);
};

/** The guest_memfd is closed, which removes all private memory; then the TD is destroyed, and the rest goes. */
export const tearDown: Program = async (world, task) => {
  const { host } = world;
  await allowed(world, "close", () => host.gmem.close(task));
  // Where it is mapped, that was what kept it.
  await allowed(world, "munmap", () => host.mmu.vm.mm.munmap(task, host.userAddr, PAGES * PAGE));
  await host.kvm.destroy(task);
  await allowed(world, "delete memslot", () => host.deleteRegion(task));
};
