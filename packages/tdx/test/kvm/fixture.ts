/** A host with a real TDX module, memory as sparse as it can be, and everything else as simple as it can be. */
import { Lockdep, type LockdepOptions, type Stack, Task, throwReport } from "@vm/lockdep";
import { bringUpModule } from "../../src/kvm/bring-up.js";
import { TdxCmdId } from "../../src/kvm/commands.js";
import type { TdxHost } from "../../src/kvm/host.js";
import { KvmTdx } from "../../src/kvm/kvm-tdx.js";
import type { TdPlatform } from "../../src/kvm/ports.js";
import type { SeamcallPort } from "../../src/kvm/seamcalls.js";
import type { InitVm } from "../../src/kvm/td-params.js";
import type { KvmTdxDesc } from "../../src/kvm/td-vm.js";
import { TdxModule } from "../../src/module/module.js";
import type { PlatformDesc } from "../../src/module/platform.js";
import { ScriptedCpu } from "./guest.js";
import { Frames, Memory, MIB, PAGE, VmLocks } from "./memory.js";

const GIB = 2 ** 30;
/** Frames that tests take are in the lower half, PAMTs above. */
const PAMTS = 512 * MIB;
/** Where content of private memory comes from. */
export const SOURCE = 400 * MIB;
const KEYS = { first: 8, count: 8 };
const MAX_PHYS_ADDR = 52;
/** The host's, as far as the module asks: by leaf and subleaf. */
const CPUID: Record<string, readonly [number, number, number, number]> = {
  "0.0": [0x23, 0, 0, 0],
  "13.0": [0xe7, 0, 0, 0],
  [`${0x8000_0000}.0`]: [0x8000_0008, 0, 0, 0],
  [`${0x8000_0008}.0`]: [MAX_PHYS_ADDR, 0, 0, 0],
};

export const CPUID_48 = { function: 0x8000_0008, index: 0, eax: 48 << 16, ebx: 0, ecx: 0, edx: 0 };
export const INIT_VM: InitVm = { attributes: 1n << 28n, xfam: 3n, cpuid: { entries: [CPUID_48] } };

export interface HostOptions {
  readonly processors?: number;
  readonly packages?: number;
  readonly keys?: number;
  readonly lockdep?: LockdepOptions;
}

/** Stands between KVM and the module. */
export class Interposer implements SeamcallPort {
  /** A status instead of making the call, or undefined. */
  refuse: (leaf: number) => bigint | undefined = () => undefined;

  constructor(readonly module: TdxModule) {}

  seamcall(lp: number, regs: BigUint64Array): void {
    const status = this.refuse(Number((regs[0] as bigint) & 0xffffn));
    if (status === undefined) this.module.seamcall(lp, regs);
    else regs[0] = status;
  }
}

const NOWHERE: Stack = { site: "somewhere", frames: [] };

export function newPlatform(options: HostOptions = {}) {
  const { processors = 4, packages = 2, keys = KEYS.count } = options;
  const bytes = new Map<number, Uint8Array>();
  const cpus = new Map<number, ScriptedCpu>();
  const platform: PlatformDesc = {
    memory: {
      page(hpa) {
        const page = bytes.get(hpa) ?? new Uint8Array(PAGE);
        bytes.set(hpa, page);
        return page;
      },
    },
    packages,
    processors: Array.from({ length: processors }, (_, lp) => ({ package: lp % packages })),
    cmrs: [{ base: MIB, size: GIB - MIB }],
    privateHkids: { first: KEYS.first, count: keys },
    maxPhysAddr: MAX_PHYS_ADDR,
    random: (to) => to.fill(7).length > 0,
    secret: new Uint8Array(32),
    tsc: () => 0n,
    tscFrequency: 2_000_000_000,
    cpuid: (leaf, subleaf) => CPUID[`${leaf}.${subleaf}`] ?? [0, 0, 0, 0],
    createGuestCpu(vcpu) {
      const cpu = new ScriptedCpu(vcpu);
      cpus.set(vcpu.tdvpr, cpu);
      return cpu;
    },
  };
  return { platform, cpus };
}

export function newHost(options: HostOptions = {}) {
  const { platform, cpus } = newPlatform(options);
  const module = new TdxModule(platform);
  const interposer = new Interposer(module);
  const lockdep = new Lockdep({ onReport: throwReport, captureStack: () => NOWHERE, ...options.lockdep });
  const frames = new Frames();
  const host: TdxHost = bringUpModule({
    module: interposer,
    memory: platform.memory,
    pages: frames,
    allocContiguous: () => PAMTS,
    memoryRanges: platform.cmrs,
    processors: platform.processors,
    privateHkids: platform.privateHkids,
    physBits: module.state.hkidShift,
    supportedXfam: 0xe7n,
    lockdep,
  });
  return { module, interposer, lockdep, frames, host, platform, cpus };
}

export type World = ReturnType<typeof newHost>;

/** A TD, not initialized. */
export function newTd(world: World, desc: Partial<KvmTdxDesc> = {}) {
  const { host, lockdep, frames, cpus, module } = world;
  const task = new Task(lockdep, "vmm");
  const vmLocks = new VmLocks(lockdep);
  const memory = new Memory(vmLocks, frames);
  const log: string[] = [];
  /** `value`, and it has been asked for. */
  const asked = <T>(what: string, value: T): T => {
    log.push(what);
    return value;
  };
  const platform: TdPlatform = {
    io: (_vcpu, port, size, write, value) => asked(`io ${port} ${size} ${write} ${value}`, 0xffff_fffe),
    mmio: (_vcpu, gpa, size, write, value) => asked(`mmio ${gpa} ${size} ${write} ${value}`, 0x1122_3344_5566_7788n),
    rdmsr: (_vcpu, index) => (index === 0x1b ? 0xfee0_0d00n : null),
    wrmsr: (_vcpu, index) => index === 0x6e0,
    cpuid: (vcpu, leaf, subleaf) => [leaf, subleaf, 3, vcpu],
    mapGpaRange: (_vcpu, gpa, size, toPrivate) => asked(`map ${gpa} ${size} ${toPrivate}`, "done"),
    faultIn: (who, _vcpu, gpa, isPrivate) => (isPrivate ? memory.faultIn(who, gpa / PAGE) : "memory-fault"),
    hasEvents: () => false,
    ...desc.platform,
  };
  let kicks = 0;
  const vm = new KvmTdx({
    host,
    locks: vmLocks,
    memory,
    kicks: { kickAll: () => void kicks++ },
    tscKhz: 2_000_000,
    ...desc,
    platform,
  });
  memory.vm = vm;
  const init = (over: Partial<InitVm> = {}) => vm.vmIoctl(task, { id: TdxCmdId.InitVm, data: { ...INIT_VM, ...over } });
  const finalize = () => vm.vmIoctl(task, { id: TdxCmdId.FinalizeVm, data: null });
  const addVcpu = async (id = vm.onlineVcpus) => {
    const vcpu = await vm.createVcpu(task, id);
    await vm.vcpuIoctl(task, vcpu, { id: TdxCmdId.InitVcpu, data: 0x1234n });
    const cpu = cpus.get(vcpu.tdvpr ?? -1) as ScriptedCpu;
    return { vcpu, cpu };
  };
  /** What the module knows of it. */
  const td = () => module.state.tds.get(vm.tdr ?? -1);
  const destroy = async () => {
    memory.zapAll(task);
    await vm.destroy(task);
  };
  return { vm, task, vmLocks, memory, log, init, finalize, addVcpu, td, destroy, kicks: () => kicks };
}

/** A TD that runs, with some vCPUs. */
export async function runningTd(world: World, desc: Partial<KvmTdxDesc> = {}, vcpus = 1) {
  const td = newTd(world, desc);
  await td.init();
  const all: Awaited<ReturnType<typeof td.addVcpu>>[] = [];
  for (let k = 0; k < vcpus; k++) all.push(await td.addVcpu());
  await td.finalize();
  const [first] = all;
  if (first === undefined) throw new Error("a TD has a vCPU");
  return { ...td, ...first, all };
}

/** The errno that `body` is refused with; "none" if it is not. */
export async function errnoOf(body: () => unknown): Promise<string> {
  try {
    await body();
  } catch (error) {
    if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
    throw error;
  }
  return "none";
}
