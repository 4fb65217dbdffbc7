import { expect, test } from "vitest";
import { LockClass, Lockdep, type Report, RwSemaphore, type Stack, Task } from "../src/index.js";
import * as kernel from "./kernel-report.js";

const ELSEWHERE: Stack = { site: "elsewhere", frames: [] };

/** A host on which three file systems took their invalidate_lock before guest_memfd's type did. */
function host() {
  const reports: Report[] = [];
  let now = ELSEWHERE;
  const lockdep = new Lockdep({
    onReport: (report) => reports.push(report),
    captureStack: () => now,
    style: { identity: kernel.identity, machine: kernel.machine },
  });
  const boot = new Task(lockdep, "init", 1);
  const invalidateLock = (): RwSemaphore => new RwSemaphore(lockdep, new LockClass("mapping.invalidate_lock"));
  for (const lock of [invalidateLock(), invalidateLock(), invalidateLock()]) expect(lock.tryDownWrite(boot)).toBe(true);
  const at = (stack: Stack): void => {
    now = stack;
  };
  const mmapLock = new RwSemaphore(lockdep, new LockClass("&mm->mmap_lock"));
  return { reports, lockdep, at, mmapLock, invalidateLock: invalidateLock() };
}

test("fed with the kernel's stacks, the report is the kernel's, line for line", async () => {
  const { reports, lockdep, at, mmapLock, invalidateLock } = host();
  const process = new Task(lockdep, "tdx_vm_huge_pag", 3469);
  await mmapLock.write(process, () => "mmap()");

  at(kernel.populateStack);
  await invalidateLock.write(process, () => mmapLock.mightLockShared(process));
  expect(reports).toEqual([]);

  at(kernel.faultStack);
  expect(mmapLock.tryDownRead(process)).toBe(true);
  at(kernel.userMappingStack);
  await invalidateLock.downRead(process);

  expect(reports.map(({ kind }) => kind)).toEqual(["circular"]);
  expect(reports[0]?.text.split("\n").map(kernel.normalized)).toEqual(kernel.lines);
});

test("with the source page taken before invalidate_lock there is nothing to report", async () => {
  const { reports, lockdep, mmapLock, invalidateLock } = host();
  const process = new Task(lockdep, "tdx_vm_huge_pag", 3469);
  mmapLock.mightLockShared(process);
  await invalidateLock.write(process, () => "populate");
  await mmapLock.read(process, () => invalidateLock.read(process, () => "fault"));
  expect(reports).toEqual([]);
  expect(lockdep.dependencies()).toEqual([{ from: "&mm->mmap_lock", to: "mapping.invalidate_lock#4", kinds: ["SN"] }]);
});

test("two guest_memfd inodes of one type are one class: the orders clash though no lock is taken twice", async () => {
  const { reports, lockdep, mmapLock } = host();
  const type = new LockClass("mapping.invalidate_lock");
  const [first, second] = [new RwSemaphore(lockdep, type), new RwSemaphore(lockdep, type)];
  const process = new Task(lockdep, "vmm");
  await first.write(process, () => mmapLock.read(process, () => "populate"));
  await mmapLock.read(process, () => second.read(process, () => "fault"));
  expect(reports.map(({ kind }) => kind)).toEqual(["circular"]);
});
