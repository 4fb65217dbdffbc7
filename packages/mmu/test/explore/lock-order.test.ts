import { Task } from "@vm/lockdep";
import { expect, test } from "vitest";
import { Licence } from "../../src/access.js";
import { Falloc, fallocate, memoryFailure } from "../../src/gmem/fallocate.js";
import { FIRST_GFN, Host, type Kind, PAGE, PAGES } from "./host.js";
import { byteOf, pageAddr } from "./model.js";
import { Scheduler } from "./scheduler.js";
import { populateFirst } from "./tasks.js";

/** Outermost first: linux, Documentation/virt/kvm/locking.rst, with those of the memory that guests have. */
const ORDER = [
  "&kvm->lock",
  "&vcpu->mutex",
  "&kvm->slots_lock",
  "&kvm->srcu",
  "&mm->mmap_lock",
  "mapping.invalidate_lock",
  "&(kvm)->mmu_lock",
];

test.each<[Kind, boolean, boolean]>([
  ["in place", true, true],
  ["in place", false, true],
  ["per VM", true, true],
  ["per VM", false, false],
])(
  "whatever is done, all locks are taken in one order: %s, mirror %s, lookups take invalidate_lock %s",
  async (kind, mirror, inPlaceConversion) => {
    const host = new Host({ kind, mirror, inPlaceConversion, faults: {} }, new Scheduler());
    const { vm, mm, gmem, tdp, lockdep } = host;
    await host.prepare();
    const task = new Task(lockdep, "vmm");
    vm.locks.addVcpu();
    vm.locks.addVcpu();
    const source = await mm.mmap(task, { length: PAGE });
    await vm.locks.lock.run(task, () => vm.locks.withAllVcpus(task, () => populateFirst(host, task, source)));
    const access = { view: host.view, want: Licence.Write, quiet: false };
    for (const [index, isPrivate] of [
      [1, true],
      [3, false],
    ] as const) {
      await tdp.fault(task, { ...access, gfn: FIRST_GFN + index, isPrivate });
      tdp.tryFault({ ...access, gfn: FIRST_GFN + index, isPrivate });
    }
    await mm.store(task, pageAddr(host, 3), byteOf(1));
    (await mm.gupFast(task, pageAddr(host, 2))).put();
    host.mmu.writeU32((FIRST_GFN + 3) * PAGE, 2);
    await host.convert(task, 0, PAGES, false);
    await host.convert(task, 0, PAGES, true);
    await fallocate(task, gmem, Falloc.KeepSize, 0, gmem.size);
    await fallocate(task, gmem, Falloc.KeepSize | Falloc.PunchHole, PAGE, PAGE);
    await memoryFailure(task, gmem, 0);
    const other = gmem.share(vm);
    await other.close(task);
    await host.deleteRegion(task);
    await host.createRegion(task);
    await gmem.close(task);
    await mm.exit(task);
    await host.deleteRegion(task);
    task.exit();

    expect(host.problems).toEqual([]);
    const dependencies = lockdep.dependencies();
    for (const { from, to } of dependencies) {
      expect(ORDER).toContain(from);
      expect(ORDER.indexOf(to), `${from} -> ${to}`).toBeGreaterThan(ORDER.indexOf(from));
    }
    const taken = dependencies.map(({ from, to }) => `${from} -> ${to}`);
    expect(taken).toContain("mapping.invalidate_lock -> &(kvm)->mmu_lock");
    expect(taken.includes("&mm->mmap_lock -> mapping.invalidate_lock")).toBe(kind === "in place");
  },
);
