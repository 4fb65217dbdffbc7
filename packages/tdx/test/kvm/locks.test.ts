import { type Report, Task } from "@vm/lockdep";
import { expect, test } from "vitest";
import { TdxCmdId } from "../../src/kvm/commands.js";
import { withVmState } from "../../src/kvm/vm-state-guard.js";
import { errnoOf, newHost, newTd, SOURCE } from "./fixture.js";
import { touch } from "./guest.js";

/** Outermost first: linux, Documentation/virt/kvm/locking.rst, and tdx_lock, in which nothing else is taken. */
const ORDER = [
  "&kvm->lock",
  "&vcpu->mutex",
  "&kvm->slots_lock",
  "mapping.invalidate_lock",
  "&(kvm)->mmu_lock",
  "tdx_lock",
];

test("whatever is done, all locks are taken in one order", async () => {
  const reports: Report[] = [];
  const world = newHost({ lockdep: { onReport: (report) => reports.push(report) } });
  const td = newTd(world);
  await td.init();
  const { vcpu, cpu } = await td.addVcpu();
  await td.addVcpu();
  await td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.GetCpuid, data: { nent: 256 } });
  const data = { sourceAddr: SOURCE, gpa: 0x20_0000, nrPages: 2 };
  await td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.InitMemRegion, data });
  await td.finalize();
  cpu.script = [touch(0x40_0000)];
  await td.vm.run(new Task(world.lockdep, "vcpu"), vcpu);
  await td.destroy();
  td.task.exit();

  expect(reports).toEqual([]);
  const dependencies = world.lockdep.dependencies();
  for (const { from, to } of dependencies)
    expect(ORDER.indexOf(to), `${from} -> ${to}`).toBeGreaterThan(ORDER.indexOf(from));
  const taken = dependencies.map(({ from, to }) => `${from} -> ${to}`);
  for (const edge of [
    "&kvm->lock -> &vcpu->mutex",
    "&vcpu->mutex -> &kvm->slots_lock",
    "&kvm->slots_lock -> mapping.invalidate_lock",
    "mapping.invalidate_lock -> &(kvm)->mmu_lock",
    "&kvm->slots_lock -> tdx_lock",
  ])
    expect(taken).toContain(edge);
});

test("the state of a TD is guarded by all locks, and free afterwards", async () => {
  const world = newHost();
  const td = newTd(world);
  await td.init();
  const vcpus = [await td.vm.createVcpu(td.task, 0), await td.vm.createVcpu(td.task, 1)];
  const all = [td.vmLocks.lock, ...vcpus.map(({ mutex }) => mutex), td.vmLocks.slotsLock];
  await withVmState(td.task, td.vm, () => {
    for (const lock of all) expect(lock.owner).toBe(td.task);
  });
  await withVmState(td.task, td.vm, () => Promise.reject(new RangeError())).catch(() => undefined);
  for (const lock of all) expect(lock.owner).toBeUndefined();
  await td.destroy();
});

test("while a vCPU is being created: EBUSY", async () => {
  const world = newHost();
  const td = newTd(world);
  await td.init();
  td.vm.createdVcpus++;
  expect(await errnoOf(() => td.finalize())).toBe("EBUSY");
  td.vm.createdVcpus--;
  await td.destroy();
});

test("an ioctl on the state waits for a vCPU that runs, and a vCPU does not run meanwhile", async () => {
  const world = newHost();
  const td = newTd(world);
  await td.init();
  const { vcpu, cpu } = await td.addVcpu();
  await td.finalize();
  const other = new Task(world.lockdep, "other");
  await vcpu.mutex.lock(other);
  const guarded = withVmState(td.task, td.vm, () => "guarded");
  expect(td.vm.run(new Task(world.lockdep, "vcpu"), vcpu)).toEqual({ reason: "busy" });
  expect(cpu.entries).toBe(0);
  vcpu.mutex.unlock(other);
  expect(await guarded).toBe("guarded");
  await td.destroy();
});
