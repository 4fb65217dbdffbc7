import { Task } from "@vm/lockdep";
import { expect, test } from "vitest";
import { Falloc, fallocate, memoryFailure } from "../src/gmem/fallocate.js";
import { GmemFlag } from "../src/gmem/inode.js";
import { createRegion, deleteRegion } from "../src/gmem/region.js";
import { UserFault } from "../src/gmem/vma.js";
import { errnoOf, newHost, PAGE } from "./gmem-fixture.js";

const { Mmap, InitShared } = GmemFlag;
const PUNCH = Falloc.KeepSize | Falloc.PunchHole;

test.each([
  ["a size of 0", "EINVAL", { size: 0 }],
  ["a negative size", "EINVAL", { size: -PAGE }],
  ["a size that is not a multiple of the page size", "EINVAL", { size: PAGE + 1 }],
  ["a size that is no number", "EINVAL", { size: Number.NaN }],
  ["an unknown flag", "EINVAL", { flags: 4 }],
  ["more memory than there is", "ENOMEM", { size: 65 * PAGE }],
  ["MMAP", "none", { flags: Mmap }],
  ["all memory", "none", { size: 64 * PAGE }],
])("KVM_CREATE_GUEST_MEMFD with %s: %s", async (_what, errno, desc) => {
  expect(await errnoOf(() => newHost().newVm(true).create(desc))).toBe(errno);
});

test.each([
  ["a VM without private memory", "none", false, true],
  ["a VM with private memory", "EINVAL", true, true],
  ["a VM with private memory, attributes in guest_memfds", "none", true, false],
])("INIT_SHARED for %s: %s", async (_what, errno, hasPrivateMem, vmMemoryAttributes) => {
  const vm = newHost({ params: { vmMemoryAttributes } }).newVm(hasPrivateMem);
  expect(await errnoOf(() => vm.create({ flags: Mmap | InitShared }))).toBe(errno);
});

test.each([
  ["without MMAP", "ENODEV", 0, true],
  ["MAP_PRIVATE", "EINVAL", Mmap, false],
  ["MAP_SHARED", "none", Mmap, true],
])("mmap %s: %s", async (_what, errno, flags, shared) => {
  const { mm, task, newVm } = newHost();
  const file = newVm(false).create({ flags });
  expect(await errnoOf(() => mm.mmap(task, { length: PAGE, file, shared }))).toBe(errno);
});

test("the process sees shared memory, and SIGBUS beyond the end and where it is private", async () => {
  const { mm, task, newVm } = newHost();
  const vm = newVm(false);
  const shared = await mm.mmap(task, { length: 9 * PAGE, file: vm.create({ flags: Mmap | InitShared }) });
  await mm.store(task, shared + PAGE - 1, Uint8Array.of(1, 2));
  expect(await mm.load(task, shared + PAGE - 2, 4)).toEqual(Uint8Array.of(0, 1, 2, 0));
  await expect(mm.load(task, shared + 8 * PAGE, 1)).rejects.toEqual(new UserFault("SIGBUS", shared + 8 * PAGE));
  const hidden = await mm.mmap(task, { length: PAGE, file: vm.create({ flags: Mmap }) });
  await expect(mm.load(task, hidden, 1)).rejects.toEqual(new UserFault("SIGBUS", hidden));
  await expect(mm.gupFast(task, hidden)).rejects.toMatchObject({ code: "EFAULT" });
});

test.each([
  ["without KEEP_SIZE", "EOPNOTSUPP", 0, 0, PAGE],
  ["PUNCH_HOLE without KEEP_SIZE", "EOPNOTSUPP", Falloc.PunchHole, 0, PAGE],
  ["another mode", "EOPNOTSUPP", Falloc.KeepSize | 8, 0, PAGE],
  ["an unaligned offset", "EINVAL", Falloc.KeepSize, 1, PAGE],
  ["an unaligned length", "EINVAL", PUNCH, 0, 1],
  ["a length of 0", "EINVAL", PUNCH, 0, 0],
  ["a negative offset", "EINVAL", PUNCH, -PAGE, PAGE],
  ["a range beyond the end", "EINVAL", Falloc.KeepSize, 7 * PAGE, 2 * PAGE],
  ["a hole beyond the end", "none", PUNCH, 7 * PAGE, 2 * PAGE],
  ["all", "none", Falloc.KeepSize, 0, 8 * PAGE],
])("fallocate with %s: %s", async (_what, errno, mode, offset, length) => {
  const { task, newVm } = newHost();
  const file = newVm(false).create();
  expect(await errnoOf(() => fallocate(task, file, mode, offset, length))).toBe(errno);
});

test("fallocate takes frames, a hole gives them back and is zero", async () => {
  const { arena, mm, task, newVm } = newHost();
  const file = newVm(false).create({ flags: Mmap | InitShared });
  await fallocate(task, file, Falloc.KeepSize, 0, file.size);
  expect(arena.taken).toBe(8);
  const addr = await mm.mmap(task, { length: file.size, file });
  await mm.store(task, addr + PAGE, Uint8Array.of(7));
  await fallocate(task, file, PUNCH, PAGE, 2 * PAGE);
  expect([arena.taken, mm.mapped]).toEqual([6, 0]);
  expect(await mm.load(task, addr + PAGE, 1)).toEqual(Uint8Array.of(0));
});

test("a hole unmaps the range of the guest frames that show it, inside one invalidation", async () => {
  const host = newHost();
  const vm = host.newVm(true);
  const gmem = vm.create();
  await host.bindAll(vm, gmem, { size: 4 * PAGE, offset: 2 * PAGE });
  vm.tables.mapped.set(0x100, 1 as never);
  await fallocate(host.task, gmem, PUNCH, 0, 3 * PAGE);
  expect(vm.tables.log).toEqual(["begin", "add 256-257", "unmap 256-257 private", "flush", "end"]);
  await fallocate(host.task, gmem, PUNCH, 0, PAGE);
  expect(vm.tables.log).toHaveLength(5);
});

test("a page pinned when it is punched out lives until its last pin, and counts until then", async () => {
  const { arena, mm, task, newVm } = newHost();
  const file = newVm(false).create({ size: PAGE, flags: Mmap | InitShared });
  const addr = await mm.mmap(task, { length: PAGE, file });
  const pin = await mm.gupFast(task, addr);
  await fallocate(task, file, PUNCH, 0, PAGE);
  expect(arena.taken).toBe(1);
  expect(await errnoOf(() => fallocate(task, file, Falloc.KeepSize, 0, PAGE))).toBe("ENOMEM");
  await mm.exit(task);
  await file.close(task);
  expect([arena.taken, arena.available]).toEqual([1, 63]);
  pin.put();
  expect([arena.taken, arena.available]).toEqual([0, 64]);
});

test.each([
  ["an offset that is not aligned", "EINVAL", { offset: 1 }],
  ["a negative offset", "EINVAL", { offset: -PAGE }],
  ["a slot that is longer than the file", "EINVAL", { offset: PAGE }],
  ["a user address that is not aligned", "EINVAL", { userAddr: 1 }],
  ["a slot at another address", "none", { size: 4 * PAGE, offset: 4 * PAGE }],
])("binding with %s: %s", async (_what, errno, over) => {
  const host = newHost();
  const vm = host.newVm(true);
  expect(await errnoOf(() => host.bindAll(vm, vm.create(), over))).toBe(errno);
  expect(vm.slots.all).toHaveLength(errno === "none" ? 1 : 0);
});

test("binding fails for a range that is bound (EINVAL), another VM's file (EINVAL), a closed one (EBADF)", async () => {
  const { task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const gmem = vm.create();
  await bindAll(vm, gmem, { size: 4 * PAGE });
  const more = { slot: 1, gpa: 0x200 * PAGE, size: PAGE, userAddr: null, gmem };
  const create = (over: object): Promise<void> => createRegion(task, vm, vm.slots, { ...more, offset: 0, ...over });
  expect(await errnoOf(() => create({ offset: 3 * PAGE }))).toBe("EINVAL");
  expect(await errnoOf(() => create({ gmem: newVm(true).create() }))).toBe("EINVAL");
  await gmem.close(task);
  expect(await errnoOf(() => create({ offset: 4 * PAGE }))).toBe("EBADF");
  expect(await errnoOf(() => gmem.close(task))).toBe("EBADF");
});

test("a memslot over a file that can be mapped takes shared memory from it too; a deleted one leaves the range free", async () => {
  const { task, newVm, bindAll } = newHost();
  const vm = newVm(false);
  const gmem = vm.create({ flags: Mmap | InitShared });
  expect((await bindAll(vm, gmem)).gmemOnly).toBe(true);
  await deleteRegion(task, vm, vm.slots, 0);
  expect(gmem.gfns(0, 8)).toEqual([]);
  expect((await bindAll(vm, gmem)).gmem?.pgoff).toBe(0);
  expect(await errnoOf(() => deleteRegion(task, vm, vm.slots, 9))).toBe("EINVAL");
});

test("closing takes the memory from the VM; a user mapping keeps the file open", async () => {
  const { arena, mm, task, newVm, bindAll } = newHost();
  const vm = newVm(false);
  const gmem = vm.create({ flags: Mmap | InitShared });
  const slot = await bindAll(vm, gmem);
  const addr = await mm.mmap(task, { length: PAGE, file: gmem });
  await mm.store(task, addr, Uint8Array.of(1));
  await gmem.close(task);
  expect([slot.gmem === null, arena.taken]).toEqual([false, 1]);
  await mm.munmap(task, addr, PAGE);
  expect([slot.gmem, arena.taken, arena.available]).toEqual([null, 0, 64]);
  expect(vm.tables.log).toEqual(["begin", "add 256-264", "unmap 256-264 shared", "end"]);
  expect(await vm.source.faultinPfn(task, slot, 0x100, false)).toEqual({ error: "EFAULT" });
  await deleteRegion(task, vm, vm.slots, 0);
});

test("an inode that two VMs share stays until both have closed it, and a hole is one for both", async () => {
  const { arena, task, newVm, bindAll } = newHost();
  const [first, second] = [newVm(true), newVm(true)];
  const gmem = first.create();
  const shared = gmem.share(second);
  await bindAll(first, gmem);
  await bindAll(second, shared);
  await fallocate(task, gmem, Falloc.KeepSize, 0, gmem.size);
  await fallocate(task, gmem, PUNCH, 0, PAGE);
  expect([first.tables.log.length, second.tables.log.length]).toEqual([4, 4]);
  await gmem.close(task);
  expect(arena.taken).toBe(7);
  await shared.close(task);
  expect(arena.taken).toBe(0);
});

test("a page whose memory broke is lost to guests and process, EHWPOISON and SIGBUS, and is not replaced", async () => {
  const { arena, mm, task, newVm, bindAll } = newHost();
  const vm = newVm(false);
  const gmem = vm.create({ flags: Mmap | InitShared });
  const slot = await bindAll(vm, gmem);
  const addr = await mm.mmap(task, { length: PAGE, file: gmem });
  await mm.store(task, addr, Uint8Array.of(1));
  await memoryFailure(task, gmem, 0);
  expect(vm.tables.log).toContain("unmap 256-257 private shared");
  expect(await vm.source.faultinPfn(task, slot, 0x100, false)).toEqual({ error: "EHWPOISON" });
  await expect(mm.load(task, addr, 1)).rejects.toThrow("SIGBUS");
  expect(arena.taken).toBe(1);
  await memoryFailure(task, gmem, 1);
  expect(arena.taken).toBe(1);
});

test("nobody sees a memslot before it is bound", async () => {
  const { lockdep, task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const gmem = vm.create();
  const other = new Task(lockdep, "other");
  await gmem.inode.invalidateLock.downRead(other);
  const bound = bindAll(vm, gmem);
  await Promise.resolve();
  expect([vm.locks.slotsLock.owner, vm.slots.all]).toEqual([task, []]);
  gmem.inode.invalidateLock.upRead(other);
  expect((await bound).gmem?.pgoff).toBe(0);
});
