import { Task } from "@vm/lockdep";
import { expect, test } from "vitest";
import { GmemFlag } from "../src/gmem/inode.js";
import { newHost, PAGE } from "./gmem-fixture.js";

test("private memory comes from the guest_memfd, shared memory from the user address", async () => {
  const { mm, task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const userAddr = await mm.mmap(task, { length: 8 * PAGE });
  await mm.store(task, userAddr + PAGE, Uint8Array.of(1));
  const slot = await bindAll(vm, vm.create(), { userAddr });
  const user = await mm.gupFast(task, userAddr + PAGE);
  const shared = await vm.source.faultinPfn(task, slot, 0x101, false);
  expect(shared).toEqual({ pfn: user.pfn, writable: true });
  expect(vm.source.tryFaultinPfn(task, slot, 0x101, false)).toEqual(shared);
  const hidden = await vm.source.faultinPfn(task, slot, 0x101, true);
  expect(hidden).not.toEqual(shared);
  expect(vm.source.tryFaultinPfn(task, slot, 0x101, true)).toEqual(hidden);
});

test("unmapping user memory unmaps the guest frames that show it", async () => {
  const { mm, task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const userAddr = await mm.mmap(task, { length: 16 * PAGE });
  const slot = await bindAll(vm, vm.create(), { userAddr: userAddr + 4 * PAGE });
  await vm.source.faultinPfn(task, slot, 0x100, false);
  await mm.munmap(task, userAddr, 16 * PAGE);
  expect(vm.tables.log).toEqual(["begin", "add 256-264", "unmap 256-264 shared", "end"]);
  expect(await vm.source.faultinPfn(task, slot, 0x100, false)).toEqual({ error: "EFAULT" });
  expect(vm.source.tryFaultinPfn(task, slot, 0x100, false)).toEqual({ error: "EFAULT" });
});

test("a slot without a user address has no shared memory, one without a guest_memfd no private", async () => {
  const { task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const slot = await bindAll(vm, vm.create());
  const plain = vm.slots.insert({ slot: 1, gpa: 0, size: PAGE, userAddr: null });
  const asked: [typeof slot, number, boolean][] = [
    [slot, 0x100, false],
    [plain, 0, true],
  ];
  for (const [which, gfn, isPrivate] of asked) {
    expect(await vm.source.faultinPfn(task, which, gfn, isPrivate)).toEqual({ error: "EFAULT" });
    expect(vm.source.tryFaultinPfn(task, which, gfn, isPrivate)).toEqual({ error: "EFAULT" });
  }
});

test("the page of a file that the slot is not bound to is EIO", async () => {
  const { task, newVm, bindAll } = newHost();
  const vm = newVm(true);
  const slot = await bindAll(vm, vm.create());
  const stranger = { ...slot, slot: 7 };
  expect(await vm.source.faultinPfn(task, stranger, 0x108, true)).toEqual({ error: "EIO" });
});

test.each([
  [true, "EAGAIN"],
  [false, undefined],
])(
  "in-place conversion %s: a lookup while invalidate_lock is taken gives %s to who cannot wait",
  async (inPlace, errno) => {
    const { lockdep, mm, task, newVm, bindAll } = newHost({ params: { inPlaceConversion: inPlace } });
    const vm = newVm(false);
    const gmem = vm.create({ flags: GmemFlag.Mmap | GmemFlag.InitShared });
    const slot = await bindAll(vm, gmem);
    const addr = await mm.mmap(task, { length: PAGE, file: gmem });
    const vcpu = new Task(lockdep, "vcpu");
    let waiting: Promise<unknown> | undefined;
    await gmem.inode.invalidateLock.write(task, () => {
      expect(vm.source.tryFaultinPfn(vcpu, slot, 0x100, true)).toMatchObject(
        errno ? { error: errno } : { writable: true },
      );
      expect(mm.tryGup(vcpu, addr)).toSatisfy((got) => (errno ? got === "retry" : typeof got === "object"));
      waiting = vm.source.faultinPfn(vcpu, slot, 0x100, true);
    });
    expect(await waiting).toMatchObject({ writable: true });
  },
);

test("lookups of a page that needs no waiting are the same in both forms", async () => {
  const { mm, task, newVm, bindAll } = newHost();
  const vm = newVm(false);
  const gmem = vm.create({ flags: GmemFlag.Mmap | GmemFlag.InitShared });
  const slot = await bindAll(vm, gmem);
  const addr = await mm.mmap(task, { length: 9 * PAGE, file: gmem });
  const folio = mm.tryGup(task, addr);
  expect(folio).toBe(gmem.inode.peek(0));
  expect(vm.source.tryFaultinPfn(task, slot, 0x100, false)).toEqual({ pfn: gmem.inode.peek(0)?.pfn, writable: true });
  expect(mm.tryGup(task, addr + 8 * PAGE)).toBe("SIGBUS");
});
