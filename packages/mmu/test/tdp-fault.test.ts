import { LockAssertionError, Lockdep, Task, throwReport } from "@vm/lockdep";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  Access,
  createRegion,
  ExitFlag,
  type ExternalPageTable,
  Falloc,
  fallocate,
  GmemFlag,
  GuestMemfd,
  KvmError,
  Licence,
  MemoryAttribute,
  MemslotError,
  Mmu,
  memoryFailure,
  type PrivateMemory,
  PrivateMemoryError,
  Status,
  setMemoryAttributes,
  setMemoryAttributes2,
} from "../src/index.js";
import { RetPf } from "../src/tdp/ret-pf.js";
import { newMemory, PAGE } from "./fixture.js";
import { errnoOf } from "./gmem-fixture.js";

const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };
const PAGES = 16;
/** Guest frame number of the shared bit. */
const SHARED = 2 ** 19;
const { Mmap, InitShared } = GmemFlag;

/** Takes everything. */
const ACCEPTING: ExternalPageTable = {
  linkSpt: () => null,
  setSpte: () => null,
  removeSpte: () => undefined,
  freeSpt: () => undefined,
};

interface Setup {
  readonly privateMemory?: PrivateMemory;
  readonly flags?: number;
  /** With user memory for what is shared. */
  readonly user?: boolean;
  /** Pages of the guest_memfd are converted, not frames of the VM. */
  readonly inPlace?: boolean;
}

/** A guest with 16 pages of a guest_memfd at 0, whose locks are validated. */
async function guest({ privateMemory, flags = 0, user = false, inPlace = false }: Setup = {}) {
  const lockdep = new Lockdep({ onReport: throwReport });
  const memory = newMemory(2 * PAGES + 1);
  const kvm = { vmMemoryAttributes: !inPlace };
  const kind = privateMemory === undefined ? {} : { privateMemory };
  const mmu = new Mmu({ memory, arenaStart: PAGE, arenaEnd: (2 * PAGES + 1) * PAGE, lockdep, kvm, ...kind });
  const { vm } = mmu;
  const task = new Task(lockdep, "vmm");
  const gmem = GuestMemfd.create(vm, { size: PAGES * PAGE, flags });
  const userAddr = user ? await vm.mm.mmap(task, { length: PAGES * PAGE }) : null;
  await createRegion(task, vm, vm.slots, { slot: 0, gpa: 0, size: gmem.size, userAddr, gmem, offset: 0 });
  const at = (gfn: number, access = 0): number => mmu.translate(FLAT, gfn * PAGE, 0, access);
  const convert = (gfn: number, attributes: number): Promise<void> =>
    setMemoryAttributes(task, vm, { address: gfn * PAGE, size: PAGE, attributes });
  return { mmu, vm, task, gmem, at, convert, lockdep };
}

const { Private } = MemoryAttribute;

describe("faults on a guest_memfd", () => {
  test("a page is there when the guest or the host comes to it, the same for both", async () => {
    const { mmu, at } = await guest({ flags: Mmap | InitShared });
    expect(mmu.touchedFrames).toBe(0);
    expect(at(3, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation).toMatchObject({ gfn: 3, licence: Licence.All, host: mmu.frameOf(3) });
    mmu.writeU32(5 * PAGE - 2, 0x12345678);
    expect(mmu.touchedFrames).toBe(3);
    expect(at(5)).toBe(Status.Ok);
    expect(mmu.readU32(5 * PAGE - 2)).toBe(0x12345678);
  });

  test("a punched hole is unmapped at once and zero afterwards", async () => {
    const { mmu, at, task, gmem } = await guest({ flags: Mmap | InitShared });
    const stale: [number, number, boolean][] = [];
    mmu.writeU32(3 * PAGE, 1);
    at(3);
    mmu.onInvalidate((gfn, pages, replaced) => stale.push([gfn, pages, replaced]));
    await fallocate(task, gmem, Falloc.KeepSize | Falloc.PunchHole, 3 * PAGE, PAGE);
    expect(stale).toEqual([[3, 1, true]]);
    expect(mmu.touchedFrames).toBe(0);
    expect(at(3)).toBe(Status.Ok);
    expect(mmu.readU32(3 * PAGE)).toBe(0);
  });

  test("a closed guest_memfd leaves a slot without memory: the guest exits, the host gets a typed error", async () => {
    const { mmu, at, task, gmem } = await guest({ flags: Mmap | InitShared });
    at(3);
    await gmem.close(task);
    expect(at(3)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({ gfn: 3, errorCode: Licence.Read | ExitFlag.Absent });
    expect(() => mmu.readU32(3 * PAGE)).toThrow(KvmError);
  });

  test("such memory cannot be re-flagged, and only a call that waits deletes it", async () => {
    const { mmu } = await guest({ flags: Mmap | InitShared });
    expect(() => mmu.setMemslot({ slot: 0, gpa: 0, size: 0 })).toThrow(MemslotError);
  });
});

describe("what changes while a fault is being handled", () => {
  test("a lock that is taken: the guest leaves with Retry, whoever waits for the page gets it, and then it enters again", async () => {
    const { mmu, at, task, gmem, lockdep } = await guest({ flags: Mmap | InitShared });
    const vcpu = new Task(lockdep, "vcpu0");
    const lock = gmem.inode.invalidateLock;
    await lock.downWrite(task);
    expect(at(3, Access.Write)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({ gfn: 3, errorCode: Licence.Write | ExitFlag.Retry });
    let done = false;
    const waiting = mmu.faultIn(vcpu, 3, mmu.translation.errorCode).then((status) => {
      done = true;
      return status;
    });
    await Promise.resolve();
    expect(done).toBe(false);
    lock.upWrite(task);
    expect(await waiting).toBe(Status.Ok);
    expect(at(3, Access.Write)).toBe(Status.Ok);
  });

  test("an invalidation between lookup and mapping: the stale page is not mapped, and the guest comes again", async () => {
    const { vm, task, gmem, lockdep } = await guest({ flags: Mmap | InitShared });
    const vcpu = new Task(lockdep, "vcpu0");
    const { target, locks } = vm;
    const view = vm.views.at(0);
    const access = { view, gfn: 3, want: Licence.Read, isPrivate: false, quiet: false };
    const fault = target.fault(vcpu, access);
    locks.mmuLock.write(task, () => {
      target.invalidateBegin(task);
      target.invalidateRangeAdd(task, 3, 4);
    });
    // Its page is there by now, and may go at any moment.
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    expect(target.rootOf(view).find(3)).toBe(0);
    expect(target.tryFault(access)).toBe(RetPf.Retry);
    expect(target.tryFault({ ...access, gfn: 4 })).toBe(RetPf.Fixed);
    locks.mmuLock.write(task, () => target.invalidateEnd(task));
    expect(await fault).toBe(RetPf.Retry);
    expect(await target.fault(vcpu, access)).toBe(RetPf.Fixed);
    expect(target.pfn).toBe(gmem.inode.folio(3)?.pfn);
  });

  test("a watch set meanwhile is honoured", async () => {
    const { mmu, vm, lockdep } = await guest({ flags: Mmap | InitShared });
    const view = vm.views.at(0);
    const access = { view, gfn: 3, want: Licence.Write, isPrivate: false, quiet: false };
    const task = new Task(lockdep, "vcpu0");
    const fault = vm.target.fault(task, access);
    mmu.withhold(3, Licence.Write);
    expect(await fault).toBe(RetPf.Retry);
    expect(await vm.target.fault(task, access)).toBe(RetPf.Tracked);
  });

  test("a view that is discarded meanwhile is not mapped: its tables are somebody else's by then", async () => {
    const { mmu, vm, lockdep } = await guest({ flags: Mmap | InitShared });
    const { target } = vm;
    mmu.withhold(5, Licence.Write, 1);
    const access = { view: vm.views.at(1), gfn: 3, want: Licence.Read, isPrivate: false, quiet: false };
    target.tryFault({ ...access, gfn: 4 });
    const { available } = target.pages;
    const fault = target.fault(new Task(lockdep, "vcpu0"), access);
    mmu.discardView(1);
    expect(await fault).toBe(RetPf.Retry);
    expect(target.tryFault(access)).toBe(RetPf.MemoryFault);
    expect(target.pages.available).toBe(available + target.levels);
  });

  test("memslots do not change while somebody else has slots_lock", async () => {
    const { mmu, vm, task } = await guest();
    const change = (): void => mmu.setMemslot({ slot: 1, gpa: 2 ** 30, size: PAGE });
    await vm.locks.slotsLock.run(task, () => expect(change).toThrow("somebody else is changing"));
    change();
  });

  test("begin, ranges and end are told under mmu_lock, held exclusively", async () => {
    const { vm, task } = await guest();
    const { target, locks } = vm;
    const range = { start: 0, end: 1, private: true, shared: true };
    for (const call of [
      () => target.invalidateBegin(task),
      () => target.invalidateRangeAdd(task, 0, 1),
      () => target.unmapGfnRange(task, range),
      () => target.invalidateEnd(task),
    ]) {
      expect(call).toThrow(LockAssertionError);
      expect(() => locks.mmuLock.read(task, call)).toThrow(LockAssertionError);
    }
  });
});

const SPLIT: PrivateMemory = { external: ACCEPTING, sharedFrom: SHARED };

describe("private memory", () => {
  test("by attribute: the guest gets what there is, before and after a conversion", async () => {
    const { mmu, at, convert } = await guest({ privateMemory: "attributes", user: true });
    expect(at(3, Access.Write)).toBe(Status.Ok);
    const shared = mmu.translation.host;
    await convert(3, Private);
    expect(at(3, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation.host).not.toBe(shared);
  });

  test("a slot without a guest_memfd has none: its pages are not there while they are private", async () => {
    const { mmu, vm, task, at } = await guest({ privateMemory: "attributes" });
    mmu.setMemslot({ slot: 1, gpa: 2 * PAGES * PAGE, size: PAGE });
    const convert = (attributes: number): Promise<void> =>
      setMemoryAttributes(task, vm, { address: 2 * PAGES * PAGE, size: PAGE, attributes });
    expect(at(2 * PAGES)).toBe(Status.Ok);
    await convert(Private);
    expect(at(2 * PAGES)).toBe(Status.Exit);
    expect(mmu.translation.errorCode).toBe(Licence.Read | ExitFlag.Absent);
    await convert(0);
    expect(at(2 * PAGES)).toBe(Status.Ok);
  });

  test("by address: an access of the wrong kind leaves the guest, PRIVATE says which kind it was", async () => {
    const { mmu, at, convert } = await guest({ privateMemory: SPLIT, user: true });
    expect(at(3)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({
      gfn: 3,
      errorCode: Licence.Read | ExitFlag.Private | ExitFlag.Absent,
    });
    expect(at(SHARED + 3)).toBe(Status.Ok);
    const shared = mmu.translation.host;
    await convert(3, Private);
    expect(at(SHARED + 3, Access.Write)).toBe(Status.Exit);
    expect(mmu.translation.errorCode).toBe(Licence.Write | ExitFlag.Absent);
    expect(at(3)).toBe(Status.Ok);
    expect(mmu.translation.host).not.toBe(shared);
  });

  test("a page table of the wrong kind is an exit too, not a page fault", async () => {
    const { mmu } = await guest({ privateMemory: SPLIT, user: true });
    const paging = { ...FLAT, cr0: 0x80000001, cr3Lo: 0x1000, cr4: 0x20, efer: 0x500 };
    expect(mmu.translate(paging, 0, 0, Access.User)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({
      gfn: 1,
      errorCode: Licence.Read | ExitFlag.Private | ExitFlag.Absent,
    });
  });

  test("the host can neither read nor write it, in part either; nothing has changed then", async () => {
    const { mmu, convert } = await guest({ privateMemory: "attributes", user: true });
    mmu.write(0, new Uint8Array(4 * PAGE).fill(7));
    await convert(2, Private);
    const bytes = new Uint8Array(4 * PAGE);
    for (const attempt of [
      () => mmu.readU8(2 * PAGE),
      () => mmu.readU32(2 * PAGE - 2),
      () => mmu.writeU16(2 * PAGE + 6, 1),
      () => mmu.read(0, bytes),
      () => mmu.write(0, bytes),
      () => mmu.frameOf(2),
    ]) {
      expect(attempt).toThrow(PrivateMemoryError);
    }
    expect(bytes[0]).toBe(0);
    expect(mmu.readU8(0)).toBe(7);
    await convert(2, 0);
    expect(mmu.readU8(2 * PAGE)).toBe(7);
  });

  test.each([
    ["of the guest_memfd", { flags: Mmap | InitShared }],
    ["of user memory", { privateMemory: "attributes", user: true }],
  ] as const)("while somebody changes it the host reaches what is there %s, and nothing else", async (_what, setup) => {
    const { mmu, vm, gmem, task } = await guest(setup);
    mmu.writeU32(PAGE, 7);
    const lock = "user" in setup ? vm.mm.mmapLock : gmem.inode.invalidateLock;
    await lock.write(new Task(task.lockdep, "somebody"), () => {
      expect(mmu.readU32(PAGE)).toBe(7);
      expect(() => mmu.readU32(2 * PAGE)).toThrow(expect.objectContaining({ code: "EAGAIN" }));
    });
    expect(mmu.readU32(2 * PAGE)).toBe(0);
  });

  test("a broken page is EHWPOISON to the host, though it is there", async () => {
    const { mmu, gmem, task } = await guest({ flags: Mmap | InitShared });
    mmu.writeU32(PAGE, 7);
    await memoryFailure(task, gmem, 1);
    expect(() => mmu.readU32(PAGE)).toThrow(expect.objectContaining({ code: "EHWPOISON" }));
  });

  test("unmapping shared memory leaves private mappings alone, and the other way round", async () => {
    const { vm, task, at, convert } = await guest({ privateMemory: SPLIT, user: true });
    await convert(3, Private);
    at(3);
    at(SHARED + 4);
    const { target, locks } = vm;
    const mapped = (): boolean[] => [target.mirror?.find(3) !== 0, target.rootOf(vm.views.at(0)).find(4) !== 0];
    const unmap = (kind: { private: boolean; shared: boolean }): boolean =>
      locks.mmuLock.write(task, () => target.unmapGfnRange(task, { start: 0, end: PAGES, ...kind }));
    expect(mapped()).toEqual([true, true]);
    unmap({ private: false, shared: true });
    expect(mapped()).toEqual([true, false]);
    at(SHARED + 4);
    unmap({ private: true, shared: false });
    expect(mapped()).toEqual([false, true]);
  });
});

describe("mapPrivatePfn", () => {
  async function locked(body: (g: Awaited<ReturnType<typeof guest>>) => Promise<void>): Promise<void> {
    const g = await guest({ privateMemory: SPLIT });
    await g.convert(3, Private);
    await g.vm.locks.slotsLock.run(g.task, () => g.gmem.inode.invalidateLock.write(g.task, () => body(g)));
  }
  const pfnOf = ({ gmem }: Awaited<ReturnType<typeof guest>>) => gmem.inode.folio(3)?.pfn as never;

  test("maps a page, once: a second time is EIO", () =>
    locked(async (g) => {
      await g.vm.target.mapPrivatePfn(g.task, 3, pfnOf(g));
      expect(g.vm.target.mirror?.find(3)).not.toBe(0);
      expect(await errnoOf(() => g.vm.target.mapPrivatePfn(g.task, 3, pfnOf(g)))).toBe("EIO");
    }));

  test("a page whose writes are watched is EPERM", () =>
    locked(async (g) => {
      g.mmu.withhold(3, Licence.Write);
      expect(await errnoOf(() => g.vm.target.mapPrivatePfn(g.task, 3, pfnOf(g)))).toBe("EPERM");
    }));

  test("wants slots_lock and the invalidate_lock", async () => {
    const g = await guest({ privateMemory: SPLIT });
    const attempt = (): Promise<void> => g.vm.target.mapPrivatePfn(g.task, 3, pfnOf(g));
    await expect(attempt()).rejects.toThrow(LockAssertionError);
    await g.vm.locks.slotsLock.run(g.task, () => expect(attempt()).rejects.toThrow(LockAssertionError));
  });
});

describe("save and restore", () => {
  test("a guest_memfd that is all shared is saved: its touched pages, for memory of another machine's own", async () => {
    const { mmu } = await guest({ flags: Mmap | InitShared });
    mmu.writeU32(3 * PAGE, 7);
    mmu.writeU32(5 * PAGE, 9);
    const image = mmu.save();
    expect([...image.pages].map(({ gfn }) => gfn)).toEqual([3, 5]);
    const copy = new Mmu({ memory: newMemory(PAGES + 1), arenaStart: PAGE, arenaEnd: (PAGES + 1) * PAGE });
    copy.restore(image);
    expect([3, 5, 6].map((gfn) => copy.readU32(gfn * PAGE))).toEqual([7, 9, 0]);
    expect(copy.memslots).toEqual(mmu.memslots);
    expect(() => mmu.restore(copy.save())).toThrow("memslot 0 is made of a guest_memfd");
    expect(mmu.readU32(3 * PAGE)).toBe(7);
  });

  test("private memory cannot be saved, nor what becomes private or breaks meanwhile", async () => {
    const { mmu, vm, task, gmem } = await guest({
      inPlace: true,
      privateMemory: "attributes",
      flags: Mmap | InitShared,
    });
    const convert = (gfn: number, attributes: number): Promise<void> =>
      setMemoryAttributes2(task, gmem, { offset: gfn * PAGE, size: PAGE, attributes });
    mmu.write(0, new Uint8Array(4 * PAGE).fill(1));
    await convert(2, Private);
    expect(() => mmu.save()).toThrow(new PrivateMemoryError(2));
    await convert(2, 0);
    const pages = mmu.save().pages[Symbol.iterator]();
    expect(pages.next().value).toMatchObject({ gfn: 0 });
    await convert(1, Private);
    expect(() => pages.next()).toThrow(new PrivateMemoryError(1));
    await convert(1, 0);
    await memoryFailure(task, gmem, 3);
    expect(() => [...mmu.save().pages]).toThrow(expect.objectContaining({ code: "EHWPOISON" }));
    await gmem.close(task);
    expect(vm.slots.find(0)?.gmem).toBeNull();
    expect(() => [...mmu.save().pages]).toThrow(expect.objectContaining({ code: "EFAULT" }));
  });

  test("user memory is not saved with a machine", async () => {
    const { mmu } = await guest({ privateMemory: "attributes", user: true });
    expect(() => mmu.save()).toThrow("memslot 0 shows memory of the process");
  });
});

describe("an external table that is busy", () => {
  /** A guest whose page 3 is private, and an external table that does not take it before it is `free`. */
  async function busy() {
    const seen = { asked: 0, turns: 0, free: false };
    const setSpte = (): "EBUSY" | null => {
      seen.asked++;
      return seen.free ? null : "EBUSY";
    };
    const external = { ...ACCEPTING, setSpte };
    const g = await guest({ privateMemory: { external, sharedFrom: SHARED } });
    await g.convert(3, Private);
    const ticking = setInterval(() => seen.turns++);
    onTestFinished(() => clearInterval(ticking));
    return { ...g, seen };
  }

  test("is asked once for every time that the guest comes, however long it takes", async () => {
    const { mmu, at, task, seen } = await busy();
    for (let entries = 0; entries < 3; entries++) {
      expect(at(3)).toBe(Status.Exit);
      expect(mmu.translation.errorCode).toBe(Licence.Read | ExitFlag.Retry | ExitFlag.Private);
      expect(await mmu.faultIn(task, 3, Licence.Read)).toBe(Status.Exit);
    }
    expect(seen.asked).toBe(6);
    seen.free = true;
    expect(at(3)).toBe(Status.Ok);
  });

  test("holds up a prefault until it takes the page, or a signal comes; the event loop goes on", async () => {
    const { mmu, task, seen } = await busy();
    expect(await errnoOf(() => mmu.preFault(task, 3 * PAGE, PAGE, () => seen.turns > 2))).toBe("EINTR");
    const done = mmu.preFault(task, 3 * PAGE, PAGE);
    setTimeout(() => {
      seen.free = true;
    });
    expect(await done).toBe(PAGE);
  });

  test("holds up mapPrivatePfn the same way", async () => {
    const { vm, task, gmem, seen } = await busy();
    const { inode } = gmem;
    const map = (signalPending?: () => boolean): Promise<void> =>
      vm.locks.slotsLock.run(task, () =>
        inode.invalidateLock.write(task, () =>
          vm.target.mapPrivatePfn(task, 3, inode.folio(3)?.pfn as never, signalPending),
        ),
      );
    expect(await errnoOf(() => map(() => seen.turns > 2))).toBe("EINTR");
    expect(vm.target.mirror?.find(3)).toBe(0);
    seen.free = true;
    await map();
    expect(vm.target.mirror?.find(3)).not.toBe(0);
  });
});

describe("KVM_PRE_FAULT_MEMORY", () => {
  test("maps what is there, private or shared, whoever watches it", async () => {
    const { mmu, vm, task, convert } = await guest({ privateMemory: SPLIT, user: true });
    await convert(3, Private);
    mmu.withhold(2, Licence.Read);
    expect(await mmu.preFault(task, 2 * PAGE, 2 * PAGE)).toBe(2 * PAGE);
    expect(vm.target.mirror?.find(3)).not.toBe(0);
    expect(vm.target.rootOf(vm.views.at(0)).find(2)).not.toBe(0);
  });

  test.each([
    [0, 0, "EINVAL"],
    [1, PAGE, "EINVAL"],
    [0, PAGE + 1, "EINVAL"],
    [PAGES * PAGE, PAGE, "ENOENT"],
  ])("%i, %i: %s", async (gpa, size, errno) => {
    const { mmu, task } = await guest({ flags: Mmap | InitShared });
    expect(await errnoOf(() => mmu.preFault(task, gpa, size))).toBe(errno);
  });

  test("stops where memory ends or a signal waits, and says how far it came", async () => {
    const { mmu, task } = await guest({ flags: Mmap | InitShared });
    expect(await mmu.preFault(task, (PAGES - 2) * PAGE, 4 * PAGE)).toBe(2 * PAGE);
    let left = 3;
    expect(await mmu.preFault(task, 0, 8 * PAGE, () => left-- === 0)).toBe(3 * PAGE);
    expect(await errnoOf(() => mmu.preFault(task, 0, PAGE, () => true))).toBe("EINTR");
  });

  test("memory that is not there is EFAULT", async () => {
    const { mmu, task, gmem } = await guest({ flags: Mmap | InitShared });
    await gmem.close(task);
    expect(await errnoOf(() => mmu.preFault(task, 0, PAGE))).toBe("EFAULT");
  });
});

test("a guest that touches addresses where nothing is, everywhere, does not use up the page tables", () => {
  const memory = newMemory(4);
  const mmu = new Mmu({ memory, arenaStart: PAGE, arenaEnd: 4 * PAGE });
  mmu.setMemslot({ slot: 0, gpa: 0, size: PAGE });
  const paging = { ...FLAT, cr0: 0x80000001, cr3Lo: 0, cr4: 0x10 };
  // One 4 MiB page by PSE-36, which reaches 40 bits of addresses.
  for (let k = 0; k < 3000; k++) {
    mmu.writeU32(0, ((0x83 | ((k & 0xff) << 13)) + ((k >>> 8) << 22)) >>> 0);
    expect(mmu.translate(paging, 0x1000, 0, 0)).toBe(Status.Mmio);
  }
  mmu.writeU32(0, 0x83);
  expect(mmu.translate(paging, 0, 0, Access.Write)).toBe(Status.Ok);
});
