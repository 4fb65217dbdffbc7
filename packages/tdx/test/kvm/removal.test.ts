import { describe, expect, test } from "vitest";
import { TdxCmdId } from "../../src/kvm/commands.js";
import { Tdh } from "../../src/kvm/seamcalls.js";
import { PageSize } from "../../src/module/page-type.js";
import { errnoOf, newHost, newTd, runningTd, SOURCE } from "./fixture.js";
import { touch } from "./guest.js";
import { PAGE } from "./memory.js";

const world = newHost();
const { module, frames } = world;
const GFN = 0x200;

/** Numbers and statuses of the SEAMCALLs that `body` makes. */
async function calls(body: () => unknown): Promise<[Tdh, bigint][]> {
  const made: [Tdh, bigint][] = [];
  module.onTrace = ({ leaf, status }) => void made.push([leaf, status >> 32n]);
  try {
    await body();
  } finally {
    module.onTrace = undefined;
  }
  return made;
}
const numbers = (made: [Tdh, bigint][]): string[] => made.map(([leaf]) => Tdh[leaf]);

const BLOCK = "MemRangeBlock";
const TRACK = "MemTrack";
const REMOVE = "MemPageRemove";
const WBINVD = "PhymemPageWbinvd";

/** A TD that runs and has a page at {@link GFN}; `kick` is what happens when vCPUs are kicked. */
async function tdWithPage(kick: () => void = () => undefined) {
  let kicks = 0;
  const kickAll = (): void => {
    kicks++;
    kick();
  };
  const td = await runningTd(world, { kicks: { kickAll } });
  td.cpu.script = [touch(GFN * PAGE)];
  await td.vm.run(td.task, td.vcpu);
  return { ...td, kicks: () => kicks };
}

describe("a page is removed", () => {
  test("blocked, tracked, removed and written back; the vCPUs are out of the guest in between", async () => {
    const td = await tdWithPage();
    const hpa = (td.memory.pages.get(GFN) as number) * PAGE;
    expect(module.isPrivate(hpa)).toBe(true);
    const made = await calls(() => td.memory.zap(td.task, GFN));
    expect(numbers(made)).toEqual([BLOCK, TRACK, REMOVE, WBINVD]);
    expect([td.kicks(), td.vm.sept.leaves, module.isPrivate(hpa)]).toEqual([1, 0, false]);
    expect(td.td()?.sept?.walk(GFN, 1)).toBe(0);
    await td.destroy();
  });

  test("before the TD is finalized nobody has run: nothing to track", async () => {
    const td = newTd(world);
    await td.init();
    const { vcpu } = await td.addVcpu();
    const data = { sourceAddr: SOURCE, gpa: GFN * PAGE, nrPages: 1 };
    await td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.InitMemRegion, data });
    const made = await calls(() => td.memory.zap(td.task, GFN));
    expect(numbers(made)).toEqual([BLOCK, REMOVE, WBINVD]);
    expect(td.kicks()).toBe(0);
    await td.destroy();
  });

  test("nothing of it is left for the host to read", async () => {
    const td = await tdWithPage();
    const hpa = (td.memory.pages.get(GFN) as number) * PAGE;
    world.platform.memory.page(hpa).fill(0x5a);
    td.memory.zap(td.task, GFN);
    expect(world.platform.memory.page(hpa).every((byte) => byte === 0)).toBe(true);
    await td.destroy();
  });

  test("a vCPU in the guest has left before the page goes", async () => {
    let leave = (): void => undefined;
    const td = await tdWithPage(() => leave());
    const epoch = td.td()?.epoch;
    const entered = epoch?.enter() ?? 0;
    leave = () => {
      epoch?.leave(entered);
      leave = () => undefined;
    };
    td.memory.zap(td.task, GFN);
    expect([td.vm.bugs, td.vm.sept.leaves]).toEqual([[], 0]);
    await td.destroy();
  });

  test("a kick that leaves a vCPU in the guest is found out", async () => {
    const td = await tdWithPage();
    const epoch = td.td()?.epoch;
    const entered = epoch?.enter() ?? 0;
    td.memory.zap(td.task, GFN);
    expect(td.vm.bugs).toEqual([expect.stringMatching(/^TDH.MEM.PAGE.REMOVE: 0xc0000b08/)]);
    epoch?.leave(entered);
  });
});

describe("a lock that a vCPU holds in the module", () => {
  type Td = Awaited<ReturnType<typeof tdWithPage>>;
  const LOCKS: [string, string, (td: Td) => Parameters<typeof module.hold>[0]][] = [
    ["the secure EPT, for RANGE.BLOCK", BLOCK, (td) => td.td()?.septLock as never],
    ["the epoch, for TRACK", TRACK, (td) => td.td()?.epoch.lock as never],
  ];

  test.each(LOCKS)("%s: kicked, and tried exactly once more", async (_what, call, lock) => {
    let release = (): void => undefined;
    const entered: unknown[] = [];
    const td = await tdWithPage(() => {
      // Nobody gets in while the retry is to come.
      if (td.vm.waitForSeptZap) entered.push(td.vm.run(td.task, td.vcpu));
      release();
      release = () => undefined;
    });
    release = module.hold(lock(td), "shared");
    const before = td.cpu.entries;
    const made = await calls(() => td.memory.zap(td.task, GFN));
    expect(made.filter(([leaf]) => Tdh[leaf] === call).map(([, status]) => status)).toEqual([0x8000_0200n, 0n]);
    expect(made).toHaveLength(5);
    expect([td.kicks(), td.vm.bugs, td.vm.waitForSeptZap]).toEqual([2, [], false]);
    expect(entered).toEqual([{ reason: "busy" }]);
    expect(td.cpu.entries).toBe(before);
    await td.destroy();
  });

  test("a lock that is held on: the VM is dead after the one retry, and the page stays the TD's", async () => {
    const td = await tdWithPage();
    const hpa = (td.memory.pages.get(GFN) as number) * PAGE;
    const release = module.hold(td.td()?.septLock as never, "shared");
    const made = await calls(() => td.memory.zap(td.task, GFN));
    expect(numbers(made)).toEqual([BLOCK, BLOCK]);
    expect([td.kicks(), td.vm.isDead, module.isPrivate(hpa)]).toEqual([1, true, true]);
    release();
  });

  test("who adds a page is told EBUSY, and nothing has changed", async () => {
    const td = await tdWithPage();
    const release = module.hold(td.td()?.septLock as never, "exclusive");
    const before = frames.taken.size;
    expect(td.memory.faultIn(td.task, GFN + 1)).toBe("retry");
    expect(frames.taken.size).toBe(before);
    release();
    expect(td.memory.faultIn(td.task, GFN + 1)).toBe("fixed");
    await td.destroy();
  });

  test("FINALIZE_VM is told EBUSY with what the module says, and can be tried again", async () => {
    const td = newTd(world);
    await td.init();
    await td.addVcpu();
    const tdr = module.state.pamt.entry(td.vm.tdr ?? 0, PageSize.Size4K);
    const release = module.hold(tdr as never, "shared");
    const cmd = { id: TdxCmdId.FinalizeVm, data: null, hwError: 0n } as const;
    expect(await errnoOf(() => td.vm.vmIoctl(td.task, cmd))).toBe("EBUSY");
    expect(cmd.hwError >> 32n).toBe(0x8000_0200n);
    release();
    await td.finalize();
    await td.destroy();
  });
});
