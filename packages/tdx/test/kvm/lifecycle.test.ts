import { afterEach, describe, expect, test } from "vitest";
import { MEASURE_MEMORY_REGION, TdxCmdId } from "../../src/kvm/commands.js";
import { Tdh } from "../../src/kvm/seamcalls.js";
import { Status, statusName } from "../../src/module/status.js";
import { errnoOf, newHost, newTd, runningTd, SOURCE } from "./fixture.js";
import { touch } from "./guest.js";
import { PAGE } from "./memory.js";

const GFN = 0x200;
const world = newHost();

afterEach(() => {
  world.frames.left = 100_000;
  world.interposer.refuse = () => undefined;
  world.module.onTrace = undefined;
});

/** A TD with measured memory, vCPUs that have run, and memory that came later. */
async function live(world: ReturnType<typeof newHost>, vcpus: number) {
  const td = newTd(world);
  await td.init();
  const all: Awaited<ReturnType<typeof td.addVcpu>>[] = [];
  for (let k = 0; k < vcpus; k++) all.push(await td.addVcpu());
  const data = { sourceAddr: SOURCE, gpa: GFN * PAGE, nrPages: 3 };
  const { vcpu } = all[0] as (typeof all)[number];
  await td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.InitMemRegion, flags: MEASURE_MEMORY_REGION, data });
  await td.finalize();
  all.forEach(({ cpu, vcpu }, k) => {
    cpu.script = [touch((0x1000 + 512 * k) * PAGE)];
    td.vm.run(td.task, vcpu);
    td.vm.run(td.task, vcpu);
  });
  return { ...td, all };
}

describe("a TD's life", () => {
  test("100 TDs come and go: no SEAMCALL fails, every key and every frame is free again", async () => {
    const failed: string[] = [];
    world.module.onTrace = ({ name, status }) => {
      if (status >> 62n !== 0n) failed.push(`${name}: ${statusName(status)}`);
    };
    const before = world.frames.taken.size;
    for (let k = 0; k < 100; k++) {
      const td = await live(world, 1 + (k % 4));
      await td.destroy();
      expect([td.vm.bugs, td.vm.lostPages]).toEqual([[], 0]);
      expect([world.host.hkids.used, world.frames.taken.size]).toEqual([0, before]);
    }
    expect(failed).toEqual([]);
    expect([world.module.state.tds.size, world.module.state.vcpus.size]).toEqual([0, 0]);
  });

  test("the end has its order", async () => {
    const td = await live(world, 2);
    td.memory.zapAll(td.task);
    const made: string[] = [];
    world.module.onTrace = ({ leaf, lp }) => void made.push(`${Tdh[leaf]} ${lp}`);
    await td.vm.destroy(td.task);
    const reclaim = made.filter((call) => call === "PhymemPageReclaim 0").length;
    expect(made.slice(0, 6)).toEqual([
      "VpFlush 0",
      "VpFlush 1",
      "MngVpflushdone 0",
      "PhymemCacheWb 0",
      "PhymemCacheWb 1",
      "MngKeyFreeid 0",
    ]);
    expect(made.slice(6)).toEqual([...new Array(reclaim).fill("PhymemPageReclaim 0"), "PhymemPageWbinvd 0"]);
    expect(world.frames.taken.size).toBe(0);
  });

  test("with 32 vCPUs", async () => {
    const world = newHost({ processors: 32, packages: 4 });
    const td = await live(world, 32);
    expect(td.all.map(({ cpu }) => cpu.entries)).toEqual(new Array(32).fill(2));
    expect(await errnoOf(() => td.vm.createVcpu(td.task, 33))).toBe("EINVAL");
    await td.destroy();
    expect([td.vm.bugs, world.frames.taken.size]).toEqual([[], 0]);
  });

  test.each([0, 33, 1.5])("maxVcpus of %s: EINVAL", async (maxVcpus) => {
    expect(await errnoOf(() => newTd(world, { maxVcpus }))).toBe("EINVAL");
  });

  test("a vCPU runs on the processor it was loaded on, and can move", async () => {
    const td = await runningTd(world, {}, 2);
    const lps: number[] = [];
    world.module.onTrace = ({ leaf, lp }) => void (leaf === Tdh.VpEnter && lps.push(lp));
    for (const { vcpu } of td.all) td.vm.run(td.task, vcpu);
    expect(lps).toEqual([0, 1]);
    await td.destroy();
  });

  test("private memory that is mapped keeps the TD: EBUSY", async () => {
    const td = await live(world, 1);
    expect(await errnoOf(() => td.vm.destroy(td.task))).toBe("EBUSY");
    expect(td.vm.isDead).toBe(false);
    await td.destroy();
  });
});

describe("when the host has no pages left", () => {
  test.each([0, 1, 7])("INIT_VM with %s: ENOMEM, and nothing is taken", async (left) => {
    const td = newTd(world);
    world.frames.left = left;
    expect(await errnoOf(() => td.init())).toBe("ENOMEM");
    expect([world.frames.taken.size, world.host.hkids.used]).toEqual([0, 0]);
  });

  test("INIT_VCPU: ENOMEM, and it can be tried again", async () => {
    const td = newTd(world);
    await td.init();
    const vcpu = await td.vm.createVcpu(td.task, 0);
    const cmd = { id: TdxCmdId.InitVcpu, data: 0n } as const;
    world.frames.left = 3;
    expect(await errnoOf(() => td.vm.vcpuIoctl(td.task, vcpu, cmd))).toBe("ENOMEM");
    expect(world.frames.left).toBe(3);
    world.frames.left = 100;
    expect(await errnoOf(() => td.vm.vcpuIoctl(td.task, vcpu, cmd))).toBe("none");
    await td.destroy();
    expect(world.frames.taken.size).toBe(0);
  });

  test("populate: ENOMEM for a table of the secure EPT, and it can be tried again", async () => {
    const td = newTd(world);
    await td.init();
    const { vcpu } = await td.addVcpu();
    const data = { sourceAddr: SOURCE, gpa: GFN * PAGE, nrPages: 1 };
    const populate = () => td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.InitMemRegion, data });
    world.frames.left = 2;
    expect(await errnoOf(populate)).toBe("ENOMEM");
    expect([td.vm.isDead, td.vm.pageAddSource]).toEqual([false, null]);
    world.frames.left = 100;
    expect(await errnoOf(populate)).toBe("none");
    await td.destroy();
    expect(world.frames.taken.size).toBe(0);
  });
});

describe("what the module can refuse", () => {
  /** The module answers a call with `status` instead of making it, `times` times from the one after `after` on. */
  function refusing(leaf: Tdh, status: bigint, times = 1000, after = 0, where = world) {
    let seen = 0;
    where.interposer.refuse = (asked) =>
      asked === leaf && seen++ >= after && seen <= after + times ? status : undefined;
    return where;
  }

  test.each([
    ["TDH.MNG.CREATE", Tdh.MngCreate],
    ["TDH.MNG.ADDCX", Tdh.MngAddcx],
  ])("no entropy for %s: EAGAIN after ten tries, and it can be tried again", async (_what, leaf) => {
    refusing(leaf, Status.RND_NO_ENTROPY, 10);
    const td = newTd(world);
    expect(await errnoOf(() => td.init())).toBe("EAGAIN");
    expect([td.vm.isDead, world.frames.taken.size, world.host.hkids.used]).toEqual([false, 0, 0]);
    await td.init();
    await td.destroy();
  });

  test("nine times no entropy is nothing that anybody hears of", async () => {
    refusing(Tdh.MngCreate, Status.RND_NO_ENTROPY, 9);
    const td = newTd(world);
    await td.init();
    await td.destroy();
  });

  test("an operand of TD_PARAMS: EINVAL with hw_error, and it can be tried again", async () => {
    const status = Status.OPERAND_INVALID | 70n;
    refusing(Tdh.MngInit, status, 1);
    const td = newTd(world);
    const cmd = { id: TdxCmdId.InitVm, data: { attributes: 1n << 28n, xfam: 3n, cpuid: { entries: [] as never[] } } };
    const entries = [{ function: 0x8000_0008, index: 0, eax: 48 << 16, ebx: 0, ecx: 0, edx: 0 }];
    const init = { ...cmd, id: TdxCmdId.InitVm, data: { ...cmd.data, cpuid: { entries } }, hwError: 0n } as const;
    expect(await errnoOf(() => td.vm.vmIoctl(td.task, init))).toBe("EINVAL");
    expect(init.hwError).toBe(status);
    expect([td.vm.isDead, world.frames.taken.size, world.host.hkids.used]).toEqual([false, 0, 0]);
    await td.init();
    await td.destroy();
  });

  test.each([
    ["TDH.MNG.CREATE", Tdh.MngCreate],
    ["TDH.MNG.ADDCX", Tdh.MngAddcx],
    ["TDH.MNG.INIT", Tdh.MngInit],
  ])("anything else of %s: EIO, the VM is dead, and nothing is lost", async (_what, leaf) => {
    refusing(leaf, Status.PAGE_METADATA_INCORRECT);
    const td = newTd(world);
    expect(await errnoOf(() => td.init())).toBe("EIO");
    expect([td.vm.isDead, td.vm.lostPages, world.frames.taken.size, world.host.hkids.used]).toEqual([true, 0, 0, 0]);
  });

  test("a vCPU's pages: EIO, the VM is dead, and nothing is lost", async () => {
    refusing(Tdh.VpAddcx, Status.PAGE_METADATA_INCORRECT, 1000, 2);
    const td = newTd(world);
    await td.init();
    const vcpu = await td.vm.createVcpu(td.task, 0);
    expect(await errnoOf(() => td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.InitVcpu, data: 0n }))).toBe("EIO");
    await td.destroy();
    expect([td.vm.isDead, td.vm.lostPages, world.frames.taken.size]).toEqual([true, 0, 0]);
  });

  test("the write-back of caches that is interrupted is taken up again", async () => {
    refusing(Tdh.PhymemCacheWb, Status.INTERRUPTED_RESUMABLE, 0);
    const td = newTd(world);
    await td.init();
    await td.destroy();
    expect(world.host.hkids.used).toBe(0);
  });

  test("a key that does not come back is lost with all its pages, and said to be", async () => {
    const world = refusing(Tdh.MngKeyFreeid, Status.WBCACHE_NOT_COMPLETE, 1000, 0, newHost());
    const td = newTd(world);
    await td.init();
    await td.destroy();
    expect(td.vm.bugs).toEqual([expect.stringMatching(/^TDH.MNG.KEY.FREEID/)]);
    expect(world.host.hkids.used).toBe(1);
    expect(world.frames.taken.size).toBe(7);
  });

  test("MR.EXTEND: EIO, and the VM is dead", async () => {
    refusing(Tdh.MrExtend, Status.EPT_ENTRY_NOT_PRESENT);
    const td = newTd(world);
    await td.init();
    const { vcpu } = await td.addVcpu();
    const data = { sourceAddr: SOURCE, gpa: GFN * PAGE, nrPages: 1 };
    const cmd = { id: TdxCmdId.InitMemRegion, flags: MEASURE_MEMORY_REGION, data } as const;
    expect(await errnoOf(() => td.vm.vcpuIoctl(td.task, vcpu, cmd))).toBe("EIO");
    expect([td.vm.isDead, data.nrPages]).toEqual([true, 1]);
    await td.destroy();
  });

  test("PAGE.ADD that meets a lock is tried until a signal waits", async () => {
    refusing(Tdh.MemPageAdd, Status.OPERAND_BUSY, 3);
    const td = newTd(world);
    await td.init();
    const { vcpu } = await td.addVcpu();
    const data = { sourceAddr: SOURCE, gpa: GFN * PAGE, nrPages: 1 };
    expect(await errnoOf(() => td.vm.vcpuIoctl(td.task, vcpu, { id: TdxCmdId.InitMemRegion, data }))).toBe("none");
    await td.destroy();
  });
});
