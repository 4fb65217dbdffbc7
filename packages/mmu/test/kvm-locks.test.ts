import { LockAssertionError, Lockdep, type Report, Task } from "@vm/lockdep";
import { expect, test } from "vitest";
import { VmLocks } from "../src/kvm/locks.js";

function newVm() {
  const reports: Report[] = [];
  const lockdep = new Lockdep({ onReport: (report) => reports.push(report) });
  const locks = new VmLocks(lockdep);
  return { reports, locks, task: new Task(lockdep, "vmm"), vcpus: [locks.addVcpu(), locks.addVcpu(), locks.addVcpu()] };
}

test("kvm->lock is what allows all vCPU mutexes to be held together", async () => {
  const { reports, locks, task, vcpus } = newVm();
  await locks.lock.run(task, () =>
    locks.withAllVcpus(task, () => expect(vcpus.map(({ owner }) => owner)).toEqual([task, task, task])),
  );
  expect(vcpus.map(({ owner }) => owner)).toEqual([undefined, undefined, undefined]);
  expect(reports).toEqual([]);
});

test("without it that is refused, and two mutexes one by one are reported", async () => {
  const { reports, locks, task, vcpus } = newVm();
  await expect(locks.withAllVcpus(task, () => "never")).rejects.toThrow(LockAssertionError);
  for (const mutex of vcpus) await mutex.lock(task);
  expect(reports.map(({ kind }) => kind)).toEqual(["recursive"]);
});

test("waiting for a grace period under slots_lock forbids slots_lock inside a read section", async () => {
  const { reports, locks, task } = newVm();
  await locks.slotsLock.run(task, () => locks.srcu.synchronize(task));
  await locks.srcu.read(task, () => locks.slotsArchLock.run(task, () => "allowed"));
  expect(reports).toEqual([]);
  await locks.srcu.read(task, () => locks.slotsLock.run(task, () => "deadlock"));
  expect(reports.map(({ kind }) => kind)).toEqual(["circular"]);
});

test("nothing awaits under mmu_lock", async () => {
  const { reports, locks, task } = newVm();
  locks.mmuLock.writeLock(task);
  await Promise.resolve();
  await Promise.resolve();
  locks.mmuLock.writeUnlock(task);
  expect(reports.map(({ kind }) => kind)).toEqual(["atomic-sleep"]);
});
