import { describe, expect, test } from "vitest";
import { MEASURE_MEMORY_REGION, type TdxCmd, TdxCmdId } from "../../src/kvm/commands.js";
import { MAX_CPUID_ENTRIES } from "../../src/kvm/cpuid-entry.js";
import type { VcpuTdx } from "../../src/kvm/vcpu-tdx.js";
import { CPUID_48, errnoOf, INIT_VM, newHost, newTd, SOURCE } from "./fixture.js";
import { PAGE } from "./memory.js";

type Td = ReturnType<typeof newTd>;
const world = newHost();

/** The states a VM comes through; each continues the one before. */
const STATES = {
  created: async () => undefined,
  initialized: async (td: Td) => void (await td.init()),
  "with a vCPU": async (td: Td) => void (await td.vm.createVcpu(td.task, 0)),
  "vCPU initialized": async (td: Td) =>
    td.vm.vcpuIoctl(td.task, td.vm.vcpus[0] as VcpuTdx, { id: TdxCmdId.InitVcpu, data: 0n }),
  finalized: async (td: Td) => void (await td.finalize()),
  dead: async (td: Td) => td.vm.kill(),
} as const;
type State = keyof typeof STATES;

async function tdIn(state: State): Promise<Td> {
  const td = newTd(world);
  for (const [name, go] of Object.entries(STATES)) {
    if (state === "dead" && name === "finalized") continue;
    await go(td);
    if (name === state) break;
  }
  return td;
}

const region = () => ({ sourceAddr: SOURCE, gpa: 0x10_0000, nrPages: 1 });
const run = (td: Td, cmd: TdxCmd) => td.vm.vmIoctl(td.task, cmd);
/** On the vCPU; where there is none, the call is not possible. */
const onVcpu = (td: Td, cmd: TdxCmd) => {
  const [vcpu] = td.vm.vcpus;
  return vcpu === undefined
    ? Promise.reject(Object.assign(new Error(), { code: "-" }))
    : td.vm.vcpuIoctl(td.task, vcpu, cmd);
};

const CALLS: Record<string, (td: Td) => unknown> = {
  CAPABILITIES: (td) => run(td, { id: TdxCmdId.Capabilities, data: { nent: 256 } }),
  INIT_VM: (td) => run(td, { id: TdxCmdId.InitVm, data: INIT_VM }),
  "INIT_VM, no data": (td) => run(td, { id: TdxCmdId.InitVm, data: null }),
  FINALIZE_VM: (td) => run(td, { id: TdxCmdId.FinalizeVm, data: null }),
  "INIT_VCPU on the VM": (td) => run(td, { id: TdxCmdId.InitVcpu, data: 0n }),
  "hw_error on the VM": (td) => run(td, { id: TdxCmdId.FinalizeVm, data: null, hwError: 1n }),
  "KVM_CREATE_VCPU 1": (td) => td.vm.createVcpu(td.task, 1),
  INIT_VCPU: (td) => onVcpu(td, { id: TdxCmdId.InitVcpu, data: 0n }),
  INIT_MEM_REGION: (td) => onVcpu(td, { id: TdxCmdId.InitMemRegion, data: region() }),
  GET_CPUID: (td) => onVcpu(td, { id: TdxCmdId.GetCpuid, data: { nent: 256 } }),
  "FINALIZE_VM on a vCPU": (td) => onVcpu(td, { id: TdxCmdId.FinalizeVm, data: null }),
  "hw_error on a vCPU": (td) => onVcpu(td, { id: TdxCmdId.InitVcpu, data: 0n, hwError: 1n }),
  KVM_RUN: (td) =>
    td.vm.vcpus[0] === undefined ? onVcpu(td, { id: 0, data: null }) : td.vm.run(td.task, td.vm.vcpus[0]),
};

/** By state: created, initialized, with a vCPU, vCPU initialized, finalized, dead. */
const ERRNOS: Record<keyof typeof CALLS, string> = {
  CAPABILITIES: "none none none none none EIO",
  INIT_VM: "none EINVAL EINVAL EINVAL EINVAL EIO",
  "INIT_VM, no data": "EFAULT EINVAL EINVAL EINVAL EINVAL EIO",
  FINALIZE_VM: "EINVAL EIO EIO none EINVAL EIO",
  "INIT_VCPU on the VM": "EINVAL EINVAL EINVAL EINVAL EINVAL EIO",
  "hw_error on the VM": "EINVAL EINVAL EINVAL EINVAL EINVAL EIO",
  "KVM_CREATE_VCPU 1": "EIO none none none EIO EIO",
  INIT_VCPU: "- - none EINVAL EINVAL EIO",
  INIT_MEM_REGION: "- - EINVAL none EINVAL EIO",
  GET_CPUID: "- - none none EINVAL EIO",
  "FINALIZE_VM on a vCPU": "- - EINVAL EINVAL EINVAL EIO",
  "hw_error on a vCPU": "- - EINVAL EINVAL EINVAL EIO",
  KVM_RUN: "- - EINVAL EINVAL none EIO",
};

const matrix = Object.entries(ERRNOS).flatMap(([call, errnos]) =>
  errnos.split(" ").map((errno, k) => [call, Object.keys(STATES)[k] as State, errno] as const),
);

describe("every call in every state", () => {
  test.each(matrix)("%s, %s: %s", async (call, state, errno) => {
    const td = await tdIn(state);
    try {
      expect(await errnoOf(() => CALLS[call]?.(td))).toBe(errno);
    } finally {
      await td.destroy();
    }
    expect(world.host.hkids.used).toBe(0);
  });
});

describe("KVM_TDX_CAPABILITIES", () => {
  const ask = (data: { nent: number } | null, flags = 0) => {
    const td = newTd(world);
    return errnoOf(() => run(td, { id: TdxCmdId.Capabilities, flags, data }));
  };
  test("what KVM and the module both can", async () => {
    const td = newTd(world);
    const data: Extract<TdxCmd, { id: TdxCmdId.Capabilities }>["data"] = { nent: 256 };
    await run(td, { id: TdxCmdId.Capabilities, data });
    expect(data.capabilities).toMatchObject({
      supportedAttrs: 1n << 28n,
      supportedXfam: 0xe7n,
      userTdvmcallinfo1R11: 2n,
    });
    const sizes = data.capabilities?.cpuid.find((entry) => entry.function === 0x8000_0008);
    expect((sizes?.eax ?? 0) >>> 16).toBe(0xff);
  });
  test("flags: EINVAL", async () => expect(await ask({ nent: 256 }, 1)).toBe("EINVAL"));
  test("no room at all: EFAULT", async () => expect(await ask(null)).toBe("EFAULT"));
  test("too little room: E2BIG", async () => expect(await ask({ nent: 1 })).toBe("E2BIG"));
});

describe("KVM_TDX_INIT_VM", () => {
  const entries = (entry: Partial<typeof CPUID_48>) => ({ cpuid: { entries: [{ ...CPUID_48, ...entry }] } });
  test.each<[string, string, Parameters<Td["init"]>[0]]>([
    ["an attribute that is not supported", "EINVAL", { attributes: 1n }],
    ["a feature that is not supported", "EINVAL", { xfam: 1n << 8n }],
    ["a reserved field", "EINVAL", { reserved: [0n, 1n] }],
    ["padding", "EINVAL", { cpuid: { padding: 1, entries: [CPUID_48] } }],
    ["too many CPUID entries", "E2BIG", { cpuid: { entries: new Array(MAX_CPUID_ENTRIES + 1).fill(CPUID_48) } }],
    ["no width of guest-physical addresses", "EINVAL", { cpuid: { entries: [] } }],
    ["another width than 48 or 52", "EINVAL", entries({ eax: 46 << 16 })],
    [
      "CPUID that cannot be configured",
      "EINVAL",
      { cpuid: { entries: [CPUID_48, { ...CPUID_48, function: 0x1234 }] } },
    ],
    ["TSX", "EINVAL", { cpuid: { entries: [CPUID_48, { ...CPUID_48, function: 7, flags: 1, ebx: 1 << 11 }] } }],
    ["WAITPKG", "EINVAL", { cpuid: { entries: [CPUID_48, { ...CPUID_48, function: 7, flags: 1, ecx: 1 << 5 }] } }],
  ])("%s: %s", async (_what, errno, over) => {
    const td = newTd(world);
    expect(await errnoOf(() => td.init(over))).toBe(errno);
    expect([td.vm.state, td.vm.hkid, world.host.hkids.used]).toEqual([0, null, 0]);
    expect(await errnoOf(() => td.init())).toBe("none");
    await td.destroy();
  });

  test("flags: EINVAL", async () => {
    const td = newTd(world);
    expect(await errnoOf(() => run(td, { id: TdxCmdId.InitVm, flags: 1, data: INIT_VM }))).toBe("EINVAL");
  });

  test("a TD of 52 bits of address has its shared bit at 51", async () => {
    const td = newTd(world);
    await td.init(entries({ eax: 52 << 16 }));
    expect(td.vm.sharedBit).toBe(2 ** 51);
    expect(td.td()?.sharedBit).toBe(2 ** 51);
    await td.destroy();
  });

  test("all keys in use: ENOSPC, and a destroyed TD's is free again", async () => {
    const tds = Array.from({ length: 7 }, () => newTd(world));
    for (const td of tds) await td.init();
    const last = newTd(world);
    expect(await errnoOf(() => last.init())).toBe("ENOSPC");
    await tds[3]?.destroy();
    expect(await errnoOf(() => last.init())).toBe("none");
    for (const td of [...tds, last]) if (!td.vm.isDead) await td.destroy();
    expect(world.host.hkids.used).toBe(0);
  });
});

describe("KVM_CREATE_VCPU", () => {
  test("as many as the host has processors, and each id once", async () => {
    const td = newTd(world);
    await td.init();
    expect(await errnoOf(() => td.vm.createVcpu(td.task, -1))).toBe("EINVAL");
    expect(await errnoOf(() => td.vm.createVcpu(td.task, 4096))).toBe("EINVAL");
    for (const id of [0, 1, 2, 7]) await td.vm.createVcpu(td.task, id);
    expect(await errnoOf(() => td.vm.createVcpu(td.task, 3))).toBe("EINVAL");
    await td.destroy();
  });

  test("an id that is there: EEXIST", async () => {
    const td = newTd(world);
    await td.init();
    await td.vm.createVcpu(td.task, 1);
    expect(await errnoOf(() => td.vm.createVcpu(td.task, 1))).toBe("EEXIST");
    await td.destroy();
  });

  test("an irqchip that is not split: EINVAL", async () => {
    const td = newTd(world, { splitIrqchip: false });
    await td.init();
    expect(await errnoOf(() => td.vm.createVcpu(td.task, 0))).toBe("EINVAL");
    await td.destroy();
  });

  test("INIT_VM after vCPUs are there is too late even for a TD that is not initialized: EBUSY", async () => {
    const td = newTd(world);
    td.vm.createdVcpus = 1;
    expect(await errnoOf(() => td.init())).toBe("EBUSY");
  });
});

describe("KVM_TDX_INIT_MEM_REGION", () => {
  test.each<[string, Partial<ReturnType<typeof region>>, number]>([
    ["a source that is no page", { sourceAddr: 1 }, 0],
    ["no source", { sourceAddr: 0 }, 0],
    ["an address that is no page", { gpa: 0x10_0800 }, 0],
    ["no pages", { nrPages: 0 }, 0],
    ["shared memory", { gpa: 2 ** 47 }, 0],
    ["memory that becomes shared", { gpa: 2 ** 47 - PAGE, nrPages: 2 }, 0],
    ["addresses that wrap", { nrPages: 2 ** 52 }, 0],
    ["unknown flags", {}, 2],
  ])("%s: EINVAL", async (_what, over, flags) => {
    const td = await tdIn("vCPU initialized");
    const data = { ...region(), ...over };
    expect(await errnoOf(() => onVcpu(td, { id: TdxCmdId.InitMemRegion, flags, data }))).toBe("EINVAL");
    await td.destroy();
  });

  test("says how far it has come, also when a signal ends it", async () => {
    const td = await tdIn("vCPU initialized");
    const data = { ...region(), nrPages: 5 };
    const cmd: TdxCmd = { id: TdxCmdId.InitMemRegion, flags: MEASURE_MEMORY_REGION, data };
    let pages = 0;
    // Asked before each page, and again when it is mapped.
    const signal = () => pages++ === 4;
    expect(await errnoOf(() => td.vm.vcpuIoctl(td.task, td.vm.vcpus[0] as VcpuTdx, cmd, signal))).toBe("EINTR");
    expect(data).toEqual({ sourceAddr: SOURCE + 2 * PAGE, gpa: 0x10_2000, nrPages: 3 });
    expect(await errnoOf(() => onVcpu(td, cmd))).toBe("none");
    expect(data).toEqual({ sourceAddr: SOURCE + 5 * PAGE, gpa: 0x10_5000, nrPages: 0 });
    expect(td.memory.pages.size).toBe(5);
    await td.destroy();
  });

  test("pages that are converted in place can have their content already", async () => {
    const td = newTd(world, { inPlaceConversion: true });
    await td.init();
    await td.addVcpu();
    const data = { sourceAddr: 0, gpa: 0x10_0000, nrPages: 2 };
    expect(await errnoOf(() => onVcpu(td, { id: TdxCmdId.InitMemRegion, data }))).toBe("none");
    expect(data).toEqual({ sourceAddr: 0, gpa: 0x10_2000, nrPages: 0 });
    expect(td.vm.sept.leaves).toBe(2);
    await td.destroy();
  });

  test("a page that is there already: EIO, and the TD lives", async () => {
    const td = await tdIn("vCPU initialized");
    await onVcpu(td, { id: TdxCmdId.InitMemRegion, data: region() });
    expect(await errnoOf(() => onVcpu(td, { id: TdxCmdId.InitMemRegion, data: region() }))).toBe("EIO");
    expect(td.vm.isDead).toBe(false);
    await td.destroy();
  });
});

test("KVM_TDX_GET_CPUID: too little room is E2BIG, and says how much there is", async () => {
  const td = await tdIn("with a vCPU");
  const data: { nent: number; entries?: readonly { function: number; eax: number }[] } = { nent: 0 };
  const cmd = { id: TdxCmdId.GetCpuid, data } as TdxCmd;
  expect(await errnoOf(() => onVcpu(td, cmd))).toBe("E2BIG");
  const needed = data.nent;
  expect(needed).toBeGreaterThan(2);
  expect(await errnoOf(() => onVcpu(td, cmd))).toBe("none");
  expect(data.entries).toHaveLength(needed);
  const sizes = data.entries?.find((entry) => entry.function === 0x8000_0008);
  expect(((sizes?.eax ?? 0) >>> 16) & 0xff).toBe(48);
  await td.destroy();
});
