import type { Report } from "@vm/lockdep";
import { expect, test } from "vitest";
import { MemoryAttribute } from "../src/gmem/attribute-map.js";
import { setMemoryAttributes } from "../src/gmem/attributes.js";
import { memoryFailure } from "../src/gmem/fallocate.js";
import { GmemFlag } from "../src/gmem/inode.js";
import { type Populate, populate } from "../src/gmem/populate.js";
import { KvmError } from "../src/kvm/errors.js";
import { errnoOf, type HostOptions, newHost, PAGE } from "./gmem-fixture.js";

/** A VM with private memory at guest frames 0x100 to 0x107, and its content in the process. */
async function newTd(options: HostOptions = {}) {
  const host = newHost(options);
  const { mm, task, arena } = host;
  const vm = host.newVm(true);
  const gmem = vm.create();
  const slot = await host.bindAll(vm, gmem);
  if (vm.params.vmMemoryAttributes)
    await setMemoryAttributes(task, vm, { address: 0x100 * PAGE, size: 8 * PAGE, attributes: MemoryAttribute.Private });
  const source = await mm.mmap(task, { length: 8 * PAGE });
  await mm.store(
    task,
    source,
    Uint8Array.from({ length: 8 * PAGE }, (_, k) => k % 251),
  );
  const postPopulate: Populate["postPopulate"] = async (gfn, pfn, content) => {
    await vm.target.mapPrivatePfn(task, gfn, pfn);
    if (content !== null) arena.u8.set(content.bytes, pfn * PAGE);
  };
  const run = (over: Partial<Populate> = {}, by = task): Promise<number> =>
    vm.locks.slotsLock.run(by, () => populate(by, vm, { startGfn: 0x100, source, pages: 8, postPopulate, ...over }));
  return { ...host, vm, gmem, slot, source, run };
}

test("populate fills private pages, maps them, and leaves no pin", async () => {
  const { mm, task, vm, gmem, source, run } = await newTd();
  expect(await run({ startGfn: 0x102, source: source + PAGE })).toBe(6);
  expect([...vm.tables.mapped.keys()]).toEqual([0x102, 0x103, 0x104, 0x105, 0x106, 0x107]);
  const first = gmem.inode.peek(2);
  expect([first?.bytes[5], first?.uptodate, first?.refs]).toEqual([(PAGE + 5) % 251, true, 1]);
  const pin = await mm.gupFast(task, source);
  expect(pin.refs).toBe(2);
});

test("without a source the content is what the pages have", async () => {
  const { vm, gmem, run } = await newTd();
  expect(await run({ source: null, pages: 2 })).toBe(2);
  expect([vm.tables.mapped.size, gmem.inode.peek(1)?.uptodate]).toEqual([2, true]);
});

test.each([
  ["no pages", "EINVAL", { pages: 0 }],
  ["a source that is not aligned", "EINVAL", { source: 1 }],
  ["a source that is not mapped", "EFAULT", { source: PAGE }],
  ["frames that no slot has", "EINVAL", { startGfn: 0x99 }],
  ["a signal", "EINTR", { signalPending: () => true }],
] satisfies [string, string, Partial<Populate>][])("populate with %s: %s", async (_what, errno, over) => {
  const { vm, run } = await newTd();
  expect(await errnoOf(() => run(over))).toBe(errno);
  expect(vm.tables.mapped.size).toBe(0);
});

test("populate needs a guest_memfd (EINVAL) that is still there (EFAULT), private memory (EINVAL) that is not broken", async () => {
  const { task, vm, gmem, run } = await newTd();
  vm.slots.insert({ slot: 1, gpa: 0, size: PAGE, userAddr: null });
  expect(await errnoOf(() => run({ startGfn: 0 }))).toBe("EINVAL");
  await setMemoryAttributes(task, vm, { address: 0x101 * PAGE, size: PAGE, attributes: MemoryAttribute.None });
  expect(await errnoOf(() => run({ startGfn: 0x101 }))).toBe("EINVAL");
  await run({ startGfn: 0x100, pages: 1 });
  await memoryFailure(task, gmem, 0);
  expect(await errnoOf(() => run())).toBe("EHWPOISON");
  await gmem.close(task);
  expect(await errnoOf(() => run())).toBe("EFAULT");
});

test("after a failure populate says how many pages were done; one that is mapped already is EIO", async () => {
  const { run } = await newTd();
  expect(await run({ startGfn: 0x103, pages: 1 })).toBe(1);
  expect(await run()).toBe(3);
  expect(await errnoOf(() => run())).toBe("EIO");
  expect(await errnoOf(() => run({ postPopulate: () => Promise.reject(new KvmError("EBUSY", "busy")) }))).toBe("EBUSY");
});

/** Populate of one VM, then an access to memory that another VM of the process shares in place. */
async function seed(options: HostOptions): Promise<{ reports: Report[]; dependencies: unknown[] }> {
  const reports: Report[] = [];
  const host = await newTd({ ...options, lockdep: { onReport: (report) => reports.push(report), ...options.lockdep } });
  await host.run();
  const gmem = host.newVm(false).create({ flags: GmemFlag.Mmap | GmemFlag.InitShared });
  const addr = await host.mm.mmap(host.task, { length: PAGE, file: gmem });
  await host.mm.store(host.task, addr, Uint8Array.of(1));
  const dependencies = host.lockdep
    .dependencies()
    .filter(({ from, to }) => [from, to].every((name) => /mmap_lock|invalidate_lock/.test(name)));
  return { reports, dependencies };
}

test("T1, T2: the source page looked up inside invalidate_lock, then a user fault: a circular dependency", async () => {
  const { reports } = await seed({ params: { gupInsideInvalidateLock: true } });
  expect(reports.map(({ kind }) => kind)).toEqual(["circular"]);
  expect(reports[0]?.text).toContain("rlock(&mm->mmap_lock);");
  expect(reports[0]?.text).toContain("rlock(mapping.invalidate_lock);");
});

test("T3: the source page pinned before, there is one order", async () => {
  expect(await seed({})).toEqual({
    reports: [],
    dependencies: [{ from: "&mm->mmap_lock", to: "mapping.invalidate_lock", kinds: ["SN"] }],
  });
});

test("T5: without in-place conversion user faults do not take invalidate_lock, and the old order is nobody's problem yet", async () => {
  expect(await seed({ params: { gupInsideInvalidateLock: true, inPlaceConversion: false } })).toEqual({
    reports: [],
    dependencies: [{ from: "mapping.invalidate_lock", to: "&mm->mmap_lock", kinds: ["EN"] }],
  });
});

test("what a populate that failed has left in a page, the guest does not see", async () => {
  const { arena, task, vm, slot, run } = await newTd();
  const postPopulate: Populate["postPopulate"] = async (_gfn, pfn) => {
    arena.u8.fill(0xaa, pfn * PAGE, (pfn + 1) * PAGE);
    throw new KvmError("EBUSY", "busy");
  };
  expect(await errnoOf(() => run({ postPopulate }))).toBe("EBUSY");
  const page = await vm.source.faultinPfn(task, slot, 0x100, true);
  if ("error" in page) throw new Error(page.error);
  expect(arena.u8[page.pfn * PAGE]).toBe(0);
});
