/**
 * Everything that can happen to the memory of a VM at once, in thousands of orders. A failure names its seed; VM_EXPLORE_SEED=n runs that one alone.
 */
import { expect, test, vi } from "vitest";
import { failureOf, firstFailure } from "./explore.js";
import type { Faults } from "./host.js";
import { Outcomes } from "./tasks.js";

const SCHEDULES = 10_000;
/** What must have been among it, for the search to mean anything. */
const HAPPENED = [
  "populate: done",
  "populate: EINVAL",
  "populate: EIO",
  "populate: EFAULT",
  "convert: done",
  "convert: EAGAIN",
  "store: done",
  "store: SIGBUS",
  "store: SIGSEGV",
  "load: done",
  "load: SIGBUS",
  "device write: done",
  "device write: EFAULT",
  "guest fault: Fixed",
  "guest fault: Spurious",
  "guest fault: MemoryFault",
  "guest fault: Emulate",
  "guest fault: waits",
  "host access: done",
  "host access: refused",
  "host access: EAGAIN",
  "guest access: done after 0 faults",
  "guest access: done after 1 faults",
  "guest access: done after 2 faults",
  "delete memslot: done",
  "create memslot: done",
  "create memslot: EBADF",
  "close: done",
];

const { VM_EXPLORE_SEED: SEED } = process.env;

// Thousands of VMs: none has more than a few page-table pages.
vi.mock("../../src/tdp/table-pages.js", async (original) => {
  const { TablePages } = await original<typeof import("../../src/tdp/table-pages.js")>();
  class FewTablePages extends TablePages {
    constructor() {
      super(64);
    }
  }
  return { TablePages: FewTablePages };
});

test.runIf(SEED)(`seed ${SEED}`, async () => {
  expect(await failureOf(Number(SEED))).toBeUndefined();
});

test.skipIf(SEED)(
  "no deadlock, no lost or leaked page, no access to a private page by the host, no frame left",
  async () => {
    const outcomes = new Outcomes();
    expect(await firstFailure(1, SCHEDULES, {}, outcomes)).toBeUndefined();
    for (const what of HAPPENED) expect(outcomes.counts.get(what), what).toBeGreaterThan(10);
  },
);

test.skipIf(SEED).each<[string, Faults, RegExp]>([
  ["populate that takes mmap_lock inside invalidate_lock", { gupInsideInvalidateLock: true }, /^DEADLOCK: /],
  ["changes without an invalidation sequence", { noInvalidationSequence: true }, /is mapped to \d+; .* is -1/],
  ["TLBs that are not flushed", { noFlush: true }, /a TLB has|the guest uses/],
  ["page tables that are not unmapped", { noUnmap: true }, /is mapped to/],
  ["user mappings that stay", { noUserUnmap: true, noReferenceCheck: true }, /private page \d is pinned|the host has/],
  ["a memslot that is seen before it is bound", { earlyMemslot: true }, /is mapped to/],
  ["a user fault that maps a page after it let the lock go", { lateUserMapping: true }, /the host has frame/],
  ["writes of the process that go nowhere", { lostStores: true }, /and nobody has seen it there/],
  ["a host that comes to another page", { wrongHostPage: true }, /the host has \d+ in page \d, where/],
  ["conversion of pages that are in use", { noReferenceCheck: true }, /private page \d is pinned/],
])("%s: found, and found again with the same seed", async (_what, faults, how) => {
  const failure = await firstFailure(1, 3000, faults);
  expect(failure?.message).toMatch(how);
  expect(await failureOf(failure?.seed ?? 0, faults)).toEqual(failure);
  expect(await failureOf(failure?.seed ?? 0)).toBeUndefined();
});
