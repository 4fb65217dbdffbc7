/** What goes on in a host with a VM: each a program of one task, some parts of which are chosen. */
import type { Task } from "@vm/lockdep";
import { Licence } from "../../src/access.js";
import { Falloc, fallocate } from "../../src/gmem/fallocate.js";
import { type Populate, populate } from "../../src/gmem/populate.js";
import { UserFault } from "../../src/gmem/vma.js";
import { KvmError, PrivateMemoryError } from "../../src/kvm/errors.js";
import { MemslotError } from "../../src/memslots.js";
import { RetPf } from "../../src/tdp/ret-pf.js";
import { FIRST_GFN, type Host, PAGE, PAGES } from "./host.js";
import { byteOf, type Model, pageAddr } from "./model.js";
import type { Choose } from "./scheduler.js";

export interface World {
  readonly host: Host;
  readonly model: Model;
  readonly choose: Choose;
  readonly outcomes: Outcomes;
}

/** How often what happened. */
export class Outcomes {
  readonly counts = new Map<string, number>();

  add(what: string, times = 1): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }
}

export type Program = (world: World, task: Task) => Promise<void>;

/** Runs `body` and counts how it ended; what the kernel may refuse, it may refuse. */
async function allowed({ outcomes }: World, what: string, body: () => Promise<unknown>): Promise<boolean> {
  let how = "done";
  try {
    await body();
  } catch (error) {
    if (error instanceof UserFault) how = error.signal;
    else if (error instanceof KvmError || error instanceof MemslotError) how = error.code;
    else throw error;
  }
  outcomes.add(`${what}: ${how}`);
  return how === "done";
}

function range(choose: Choose): { first: number; count: number } {
  const first = choose(PAGES);
  return { first, count: 1 + choose(PAGES - first) };
}

/** Places where others can go on while a page is copied. */
const SLOW = 5;

/** KVM_TDX_INIT_MEM_REGION of `count` pages. */
function populateFrom(
  { vm, arena, scheduler }: Host,
  task: Task,
  source: number,
  first: number,
  pages: number,
): Promise<number> {
  const postPopulate: Populate["postPopulate"] = async (gfn, pfn, content) => {
    await vm.target.mapPrivatePfn(task, gfn, pfn);
    // The copy takes its time.
    for (let k = 0; k < SLOW; k++) await scheduler.stop(task);
    if (content !== null) arena.u8.set(content.bytes, pfn * PAGE);
  };
  const startGfn = FIRST_GFN + first;
  return vm.locks.slotsLock.run(task, () => populate(task, vm, { startGfn, source, pages, postPopulate }));
}

/** Page 0, from memory at `source` that nobody has touched. */
export async function populateFirst(host: Host, task: Task, source: number): Promise<void> {
  await populateFrom(host, task, source, 0, 1);
}

export const populatePages: Program = async (world, task) => {
  const { host, model, choose } = world;
  const { mm } = host;
  const { first, count } = range(choose);
  // A source that nobody has touched has to be faulted in.
  const source = await mm.mmap(task, { length: count * PAGE });
  const stamp = choose(2) === 0 ? 0 : model.newStamp();
  if (stamp !== 0) for (let k = 0; k < count; k++) await mm.store(task, source + k * PAGE, byteOf(stamp));
  const intent = model.intend("gmem", first, count, stamp);
  await allowed(world, "populate", () => populateFrom(host, task, source, first, count));
  intent.done = true;
  await mm.munmap(task, source, count * PAGE);
};

export const convert: Program = async (world, task) => {
  const { host, choose } = world;
  const { first, count } = range(choose);
  await allowed(world, "convert", () => host.convert(task, first, count, choose(2) === 0));
};

export const punchHole: Program = async ({ host, model, choose }, task) => {
  const { first, count } = range(choose);
  const intent = model.intend("gmem", first, count, 0);
  await fallocate(task, host.gmem, Falloc.KeepSize | Falloc.PunchHole, first * PAGE, count * PAGE);
  intent.done = true;
};

/** Where the process writes when it writes shared memory. */
const shared = ({ sharedInFile }: Host): "gmem" | "user" => (sharedInFile ? "gmem" : "user");

export const userAccess: Program = async (world, task) => {
  const { host, model, choose } = world;
  const index = choose(PAGES);
  if (choose(3) === 0) {
    await allowed(world, "load", () => host.mm.load(task, pageAddr(host, index), 4));
    return;
  }
  const stamp = model.newStamp();
  const intent = model.intend(shared(host), index, 1, stamp);
  intent.mustLand = await allowed(world, "store", () => host.mm.store(task, pageAddr(host, index), byteOf(stamp)));
  intent.done = true;
};

/** The process loses a page of what it sees of shared memory, for good. */
export const unmapPage: Program = async (world, task) => {
  const { host, model, choose } = world;
  const index = choose(PAGES);
  const intent = host.sharedInFile ? undefined : model.intend("user", index, 1, 0);
  await allowed(world, "munmap page", () => host.mm.munmap(task, pageAddr(host, index), PAGE));
  if (intent !== undefined) intent.done = true;
};

/** A device of the host that writes shared memory later than it was told to. */
export const deviceWrite: Program = async (world, task) => {
  const { host, model, choose } = world;
  const index = choose(PAGES);
  await allowed(world, "device write", async () => {
    const folio = await host.mm.gupFast(task, pageAddr(host, index));
    model.pins.add(folio);
    for (let k = choose(4); k > 0; k--) await host.scheduler.stop(task);
    const stamp = model.newStamp();
    model.intend(shared(host), index, 1, stamp).done = true;
    folio.bytes.set(byteOf(stamp));
    model.pins.delete(folio);
    folio.put();
  });
};

export const guestAccess: Program = async ({ host, model, choose, outcomes }, task) => {
  const { tdp, tlb } = host;
  const index = choose(PAGES);
  const gfn = FIRST_GFN + index;
  const isPrivate = choose(4) === 0 ? choose(2) === 0 : host.isPrivate(index);
  const key = `${gfn} ${isPrivate}`;
  for (let tries = 0; tries < 8; tries++) {
    const entry = tlb.get(key);
    if (entry !== undefined) {
      if (entry.pfn !== model.frameOf(index, isPrivate))
        throw new Error(`the guest uses frame ${entry.pfn} for ${key}, which is ${model.frameOf(index, isPrivate)}`);
      const stamp = model.newStamp();
      model.intend(isPrivate || host.sharedInFile ? "gmem" : "user", index, 1, stamp).done = true;
      host.arena.u32[entry.pfn * (PAGE / 4)] = stamp;
      outcomes.add(`guest access: done after ${Math.min(tries, 2)} faults`);
      return;
    }
    const access = { view: host.view, gfn, want: Licence.Write, isPrivate, quiet: false };
    let result = choose(2) === 0 ? tdp.tryFault(access) : await tdp.fault(task, access);
    if (result === RetPf.Retry) {
      outcomes.add("guest fault: waits");
      result = await tdp.fault(task, access);
    }
    if (result === RetPf.Retry) continue;
    outcomes.add(`guest fault: ${RetPf[result]}`);
    if (result !== RetPf.Fixed && result !== RetPf.Spurious) return;
    // It may be gone again: then the guest faults again.
    const pfn = host.spteFrame(gfn, isPrivate);
    if (pfn !== 0 && host.isPrivate(index) === isPrivate) tlb.set(key, { gfn, isPrivate, pfn });
    await host.scheduler.stop(task);
  }
};

/** A device or an introspection tool that goes by guest-physical addresses, and does so without waiting. */
export const hostAccess: Program = async ({ host, model, choose, outcomes }, task) => {
  for (let k = choose(4); k > 0; k--) await host.scheduler.stop(task);
  const index = choose(PAGES);
  const gpa = (FIRST_GFN + index) * PAGE;
  const stamp = model.newStamp();
  let how = "done";
  try {
    const reads = choose(2) === 0;
    if (!reads) model.intend(shared(host), index, 1, stamp).done = true;
    const value = reads ? host.mmu.readU32(gpa) : host.mmu.writeU32(gpa, stamp) && stamp;
    const there = host.slot === null ? value : host.stampIn(model.frameOf(index, false));
    if (value !== there) throw new Error(`the host has ${value} in page ${index}, where ${there} is`);
  } catch (error) {
    if (error instanceof PrivateMemoryError) how = "refused";
    else if (error instanceof KvmError) how = error.code;
    else throw error;
  }
  outcomes.add(`host access: ${how}`);
  if (how === "done" && host.slot !== null && host.isPrivate(index))
    throw new Error(`the host has used private page ${index}`);
};

export const changeMemslot: Program = async (world, task) => {
  await allowed(world, "delete memslot", () => world.host.deleteRegion(task));
  await allowed(world, "create memslot", () => world.host.createRegion(task));
};

/** Something that waits for mmap_lock exclusively. */
export const mapMemory = async ({ host }: Pick<World, "host">, task: Task): Promise<void> => {
  await host.mm.munmap(task, await host.mm.mmap(task, { length: PAGE }), PAGE);
};

/** The VM is destroyed: memslot, guest_memfd and the process's mappings go. */
export const tearDown: Program = async (world, task) => {
  const { host, model } = world;
  // From now on: another task's munmap may be what closes the guest_memfd, after this is done.
  for (const where of ["gmem", "user"] as const) model.intend(where, 0, PAGES, 0);
  await allowed(world, "close", () => host.gmem.close(task));
  await allowed(world, "munmap", () => host.mm.munmap(task, host.userAddr, PAGES * PAGE));
  await allowed(world, "delete memslot", () => host.deleteRegion(task));
};
