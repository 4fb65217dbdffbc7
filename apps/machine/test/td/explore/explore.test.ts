/**
 * Everything that can happen to a TD and its memory at once, in many orders, over a real TDX module. A failure names its seed; VM_TDX_SEED=n runs that one alone,
 * VM_TDX_SCHEDULES=n so many.
 */

import { Tdh } from "@vm/tdx";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Explorer } from "./explore.js";
import type { Faults } from "./host.js";
import { Outcomes } from "./tasks.js";

const { VM_TDX_SEED: SEED, VM_TDX_SCHEDULES = "100" } = process.env;
const SCHEDULES = Number(VM_TDX_SCHEDULES);
/** What must have been among it, for the search to mean anything. */
const HAPPENED = [
  "FINALIZE_VM: done",
  "FINALIZE_VM: EINVAL",
  "GET_CPUID: done",
  "INIT_MEM_REGION: done",
  "INIT_MEM_REGION: EINVAL",
  "INIT_MEM_REGION: EIO",
  "INIT_MEM_REGION: in part",
  "KVM_RUN: EINVAL",
  "KVM_RUN: EIO",
  "SEAMCALL: busy",
  "convert: done",
  "exit: busy",
  "exit: external-interrupt",
  "exit: handled",
  "exit: memory-fault",
  "guest: accepts",
  "host reads: done",
  "host reads: refused",
  "store: done",
  "store: SIGBUS",
  "vCPU in the guest: kicked",
];

// Thousands of VMs: none has more than a few page-table pages.
vi.mock("../../../../../packages/mmu/src/tdp/table-pages.js", async (original) => {
  const { TablePages } = await original<{ TablePages: new (count: number) => object }>();
  class FewTablePages extends TablePages {
    constructor() {
      super(64);
    }
  }
  return { TablePages: FewTablePages };
});

// Who lets others go on for a turn of the event loop does so at the next stop: what is ready then must not depend on the time.
beforeAll(() => void vi.stubGlobal("setTimeout", queueMicrotask));
// The file's process runs others after it.
afterAll(() => void vi.unstubAllGlobals());

test.runIf(SEED)(`seed ${SEED}`, async () => {
  expect(await new Explorer().failureOf(Number(SEED))).toBeUndefined();
});

test.skipIf(SEED)(
  `${SCHEDULES} schedules: no deadlock, no page in two hands, nothing of the guest's for the host to read, nothing left`,
  { timeout: 3_600_000 },
  async () => {
    const outcomes = new Outcomes();
    expect(await new Explorer().firstFailure(1, SCHEDULES, {}, outcomes)).toBeUndefined();
    for (const what of HAPPENED) expect(outcomes.counts.get(what), what).toBeGreaterThan(0);
  },
);

test.skipIf(SEED).each<[string, Faults, RegExp]>([
  ["vCPUs that are not kicked", { noKick: true }, /^TDH.MEM/],
  ["an epoch that does not begin", { skip: Tdh.MemTrack }, /^TDH.MEM.PAGE.REMOVE: 0xc0000b08/],
  ["pages that are not blocked", { skip: Tdh.MemRangeBlock }, /^TDH.MEM.PAGE.REMOVE: 0xc0000b06/],
  ["pages that are not removed", { skip: Tdh.MemPageRemove }, /^TDH.PHYMEM.PAGE.WBINVD: 0xc0000300/],
  ["vCPUs that are not flushed", { skip: Tdh.VpFlush }, /^TDH.MNG.VPFLUSHDONE/],
  ["caches that are not written back", { skip: Tdh.PhymemCacheWb }, /^TDH.MNG.KEY.FREEID/],
  ["page tables that are not unmapped", { noUnmap: true }, /is mapped to|is shared, and/],
  ["ioctls that do not keep vCPUs out", { noVcpuLocks: true }, /of a TD that is gone|^TDH/],
])("%s: found, and found again with the same seed", { timeout: 600_000 }, async (_what, faults, how) => {
  const explorer = new Explorer();
  const failure = await explorer.firstFailure(1, 400, faults);
  expect(failure?.message).toMatch(how);
  expect(await explorer.failureOf(failure?.seed ?? 0, faults)).toEqual(failure);
  expect(await explorer.failureOf(failure?.seed ?? 0)).toBeUndefined();
});
