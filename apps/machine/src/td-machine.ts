import { type CpuidLeaf, DEFAULT_CPUID, readMsr, u64, type Vcpu, withFeatures } from "@vm/cpu";
import type { LocalApic } from "@vm/devices";
import { type ExternalPageTable, KvmError, type Pfn, PrivateMemoryError, populate } from "@vm/mmu";
import {
  ATTRIBUTE_SEPT_VE_DISABLE,
  bringUpModule,
  type CpuidEntry,
  type GuestPorts,
  KvmTdx,
  MEASURE_MEMORY_REGION,
  ReportPlatform,
  type SecureEpt,
  TdGuest,
  type TdImage,
  type TdVcpu,
  type TdxCapabilities,
  TdxCmdId,
  TdxModule,
  type VcpuTdx,
} from "@vm/tdx";
import { store } from "./boot/placing.js";
import { rootWords } from "./exec/exec-plan.js";
import { type MachineOptions, pluginsOf } from "./options.js";
import type { Pace } from "./pace.js";
import { TdGuestCpu } from "./td/guest-cpu.js";
import { tdHooks } from "./td/hooks.js";
import { TdHypervisor } from "./td/hypervisor.js";
import { attachIntervalTimer, attachNoIntervalTimer } from "./td/interval-timer.js";
import { TdBoard } from "./td/platform.js";
import type { TdxPlugin } from "./td/plugin.js";
import { quoting, simulatedPlatform } from "./td/quoting.js";
import { allocateTdRam, GPA_BITS, type TdRam } from "./td/ram.js";
import { readTdParts } from "./td-image.js";
import { VirtualMachine } from "./virtual-machine.js";

const PAGE = 4096;
/** Bits of physical addresses, those of the key id included, and the key ids: the first private one is the module's. */
const MAX_PHYS_ADDR = 46;
const PRIVATE_HKIDS = { first: 32, count: 32 };
const PHYS_BITS = MAX_PHYS_ADDR - 6;
const TSC_HZ = 1e9;
/** x87, SSE and PKRU. */
const SUPPORTED_XFAM = 0x203n;
/** Pages that are added and measured between turns of the event loop. */
const PAGES_AT_ONCE = 8;
const MAX_CPUID_ENTRIES = 256;
/** Of the entry for one subleaf. */
const CPUID_FLAG_SIGNIFICANT_INDEX = 1;
const ADDRESS_SIZES = 0x8000_0008;
/** EAX of that leaf: physical and linear address bits; the guest-physical ones are added for the TD. */
const PHYSICAL_BITS = 0xff;
const APIC_BASE = 0x1b;
const MSR_ARCH_CAPABILITIES = 0x10a;
const APIC_BASE_EXTD = 1 << 10;
/** Of leaf 1's EDX. */
const CPUID_MCE = 1 << 7;
/** Of leaf 7, and a bit of its EDX. */
const SPECULATION_SUBLEAF = 2;
const CPUID_BHI_CTRL = 1 << 4;

/**
 * Makes a machine whose guest is a TD: the TDX module, KVM's flow over it, and what starts in it: a Linux kernel with our loader, or firmware.
 * @throws {MachineError} `option` for what a TD cannot have; what `createMachine` throws
 */
export async function createTd(plugin: TdxPlugin, options: MachineOptions): Promise<VirtualMachine> {
  const { parts, start } = await readTdParts(plugin.tdx, options);
  const { config, pace } = parts;
  const cpuid = tdCpuid(options.cpuid);
  let kvm: KvmTdx | null = null;
  let secure: SecureEpt | undefined;
  const sept = (): KvmTdx["sept"] => (kvm as KvmTdx).sept;
  const external: ExternalPageTable = {
    linkSpt: (gfn, level) => sept().linkSpt(gfn, level),
    setSpte: (gfn, level, pfn) => sept().setSpte(gfn, level, pfn),
    removeSpte: (gfn, level, pfn) => sept().removeSpte(gfn, level, pfn),
    freeSpt: () => sept().freeSpt(),
    walk: (gfn, want) => secure?.walk(gfn, want) ?? 0,
  };
  const ram = await allocateTdRam({ ...config, high: start.high, external });
  const hypervisor = new TdHypervisor((exit) => machine.end(exit));
  const machine = new VirtualMachine({ ...config, firmware: start.firmware }, { ...options, cpuid }, ram, hypervisor);
  const guests: TdGuestCpu[] = [];
  const { board } = machine;
  const secret = new Uint8Array(32);
  fill(config.random, secret);
  const reports = new ReportPlatform({ secret });
  const guestPorts = { sharedPage: sharedPageOf(ram), reports };
  const { quoteSeed = "vm" } = plugin.tdx;
  const quotes = quoteSeed === null ? null : quoting(ram, () => simulatedPlatform(quoteSeed, config.unixTime), reports);
  const onTrace = tracing(plugin, board.vcpus);
  const module: TdxModule = makeModule(machine, ram, { random: config.random, secret }, (vcpu) => {
    secure = vcpu.td.sept;
    const cpu = board.vcpus[vcpu.index] as Vcpu;
    const guest = new TdGuestCpu(cpu);
    const td = new TdGuest(vcpu, guest, module.state, guestPorts);
    td.onTrace = onTrace;
    cpu.hooks = tdHooks(cpu, guest, td);
    guests[vcpu.index] = guest;
    return guest;
  });
  module.onTrace = onTrace;
  const { vm } = ram.mmu;
  kvm = new KvmTdx({
    host: bringUpModule({
      ...{ module, memory: ram.frames, pages: ram.pages, allocContiguous: ram.allocContiguous },
      memoryRanges: [ram.range],
      processors: machine.board.vcpus.map(() => ({ package: 0 })),
      ...{ privateHkids: PRIVATE_HKIDS, physBits: PHYS_BITS, supportedXfam: SUPPORTED_XFAM, lockdep: vm.locks.lockdep },
    }),
    locks: vm.locks,
    memory: {
      populate: (task, what) => populate(task, vm, what),
      mapPrivatePfn: (task, gfn, pfn, pending) => vm.target.mapPrivatePfn(task, gfn, pfn as Pfn, pending),
    },
    // One thread runs everything: whoever asks for this is not in the guest, nor is anybody else.
    kicks: { kickAll: () => undefined },
    platform: new TdBoard(board, ram, quotes),
    ...{ tscKhz: TSC_HZ / 1000, maxVcpus: config.cpus, inPlaceConversion: true },
  });
  for (const apic of board.apics) enableX2Apic(apic);
  if (!config.legacyDevices) {
    if (start.firmware) attachIntervalTimer(board, machine.clock);
    else attachNoIntervalTimer(board);
  }
  const td = kvm;
  if (options.agent === true) machine.commands.expect(rootWords(options.commandLine ?? ""));
  const others = pluginsOf(options).filter((other) => other !== plugin);
  await machine.equip(others, options.signal, async () => {
    const image = start.image(machine.board);
    const vcpus = await initTd(td, plugin, ram, { ...image, cpus: config.cpus });
    await addImage(td, vcpus[0] as VcpuTdx, image, ram, pace);
    await td.vmIoctl(ram.task, { id: TdxCmdId.FinalizeVm, data: null });
    hypervisor.start(td, vcpus, guests);
  });
  return machine;
}

/**
 * What CPUID has to offer for a TD to be made of it: x2APIC, CR4.MCE, and physical addresses with room for the shared bit. And BHI_CTRL, as all processors with TDX
 * have it: of one without, Linux believes that it has the ITS flaw, as the module lets no TD see ITS_NO, and changes page tables for every indirect branch there is.
 */
function tdCpuid(leaves: readonly CpuidLeaf[] = DEFAULT_CPUID): readonly CpuidLeaf[] {
  const offered = withFeatures(leaves, "+x2apic").map((leaf) => {
    if (leaf.leaf === 1) return { ...leaf, edx: leaf.edx | CPUID_MCE };
    if (leaf.leaf === 7 && (leaf.subleaf ?? 0) === 0) return { ...leaf, eax: Math.max(leaf.eax, SPECULATION_SUBLEAF) };
    const isSizes = leaf.leaf >>> 0 === ADDRESS_SIZES;
    return isSizes ? { ...leaf, eax: (leaf.eax & ~PHYSICAL_BITS) | GPA_BITS } : leaf;
  });
  if (offered.some(({ leaf, subleaf }) => leaf === 7 && subleaf === SPECULATION_SUBLEAF)) return offered;
  return [...offered, { leaf: 7, subleaf: SPECULATION_SUBLEAF, eax: 0, ebx: 0, ecx: 0, edx: CPUID_BHI_CTRL }];
}

/** There is no other mode in a TD (KVM_TDX_INIT_VCPU). */
function enableX2Apic(apic: LocalApic): void {
  const lo = apic.readMsr(APIC_BASE);
  apic.writeMsr(APIC_BASE, lo | APIC_BASE_EXTD, apic.hi);
}

/** Who is told of calls, with the time; undefined if nobody is. */
function tracing({ tdx: { onTrace } }: TdxPlugin, vcpus: readonly Vcpu[]): TdxModule["onTrace"] {
  if (onTrace === undefined) return undefined;
  return (call) => onTrace({ ...call, instructions: vcpus.reduce((sum, { retired }) => sum + retired, 0) });
}

function fill(random: () => number, to: Uint8Array): boolean {
  for (let k = 0; k < to.length; k++) to[k] = random() & 0xff;
  return true;
}

/** Memory that the guest shares. What is private, or in somebody's hands, asks the host; where none is, the guest is told. */
const sharedPageOf =
  ({ mmu, memory }: TdRam): GuestPorts["sharedPage"] =>
  (gpa) => {
    try {
      const at = mmu.frameOf(gpa / PAGE);
      return at === 0 ? { suppressVe: false } : { bytes: new Uint8Array(memory.buffer, at, PAGE) };
    } catch (error) {
      if (error instanceof PrivateMemoryError || error instanceof KvmError) return { suppressVe: true };
      throw error;
    }
  };

function makeModule(
  machine: VirtualMachine,
  ram: TdRam,
  { random, secret }: { random: () => number; secret: Uint8Array },
  createGuestCpu: (vcpu: TdVcpu) => TdGuestCpu,
): TdxModule {
  const [cpu] = machine.board.vcpus;
  const { cpuid } = cpu.ports;
  return new TdxModule({
    ...{ memory: ram.frames, packages: 1, processors: machine.board.vcpus.map(() => ({ package: 0 })) },
    ...{ cmrs: [ram.range], privateHkids: PRIVATE_HKIDS, maxPhysAddr: MAX_PHYS_ADDR, secret },
    random: (to) => fill(random, to),
    tsc: () => BigInt(machine.clock.now()),
    tscFrequency: TSC_HZ,
    archCapabilities: archCapabilitiesOf(cpu),
    cpuid: (leaf, subleaf) => {
      const { eax, ebx, ecx, edx } = cpuid.query(leaf, subleaf);
      return [eax >>> 0, ebx >>> 0, ecx >>> 0, edx >>> 0];
    },
    createGuestCpu,
  });
}

/** What a processor is immune to: a kernel that is not told defends itself against all of it, with two page tables for each process. */
function archCapabilitiesOf(cpu: Vcpu): bigint {
  const value = { lo: 0, hi: 0 };
  return readMsr(cpu, MSR_ARCH_CAPABILITIES, value) ? u64(value.lo, value.hi) : 0n;
}

/** INIT_VM and its vCPUs. */
async function initTd(
  kvm: KvmTdx,
  { tdx }: TdxPlugin,
  { task }: TdRam,
  { cpus, argument }: { readonly cpus: number; readonly argument: number },
): Promise<VcpuTdx[]> {
  const data: { nent: number; capabilities?: TdxCapabilities } = { nent: MAX_CPUID_ENTRIES };
  await kvm.vmIoctl(task, { id: TdxCmdId.Capabilities, data });
  const offered = data.capabilities?.cpuid ?? [];
  const entries: CpuidEntry[] = offered.map((entry) => {
    const [eax, ebx, ecx, edx] = kvm.platform.cpuid(0, entry.function, entry.index);
    const configured = {
      ...{ function: entry.function, index: entry.index, flags: CPUID_FLAG_SIGNIFICANT_INDEX },
      ...{ eax: (eax & entry.eax) >>> 0, ebx: (ebx & entry.ebx) >>> 0 },
      ...{ ecx: (ecx & entry.ecx) >>> 0, edx: (edx & entry.edx) >>> 0 },
    };
    return entry.function === ADDRESS_SIZES
      ? { ...configured, eax: (configured.eax & ~0xff0000) | (GPA_BITS << 16) }
      : configured;
  });
  await kvm.vmIoctl(task, {
    id: TdxCmdId.InitVm,
    data: {
      attributes: tdx.attributes ?? ATTRIBUTE_SEPT_VE_DISABLE,
      xfam: SUPPORTED_XFAM,
      ...(tdx.mrConfigId === undefined ? {} : { mrconfigid: tdx.mrConfigId }),
      ...(tdx.mrOwner === undefined ? {} : { mrowner: tdx.mrOwner }),
      ...(tdx.mrOwnerConfig === undefined ? {} : { mrownerconfig: tdx.mrOwnerConfig }),
      cpuid: { entries },
    },
  });
  const vcpus: VcpuTdx[] = [];
  for (let id = 0; id < cpus; id++) {
    const vcpu = await kvm.createVcpu(task, id);
    await kvm.vcpuIoctl(task, vcpu, { id: TdxCmdId.InitVcpu, data: BigInt(argument) });
    vcpus.push(vcpu);
  }
  return vcpus;
}

/** Memory becomes the guest's, with the image in it: what is written before it is private stays. */
async function addImage(kvm: KvmTdx, vcpu: VcpuTdx, { runs }: TdImage, ram: TdRam, pace: Pace): Promise<void> {
  for (const { gpa, bytes } of runs) await store(ram.mmu, gpa, bytes, pace);
  await ram.makePrivate();
  for (const { gpa, bytes, measured = true } of runs) {
    const flags = measured ? MEASURE_MEMORY_REGION : 0;
    // What is left of the run; the ioctl moves it on.
    const data = { sourceAddr: 0, gpa, nrPages: 0 };
    for (let left = bytes.length / PAGE; left > 0; left -= PAGES_AT_ONCE) {
      data.nrPages = Math.min(left, PAGES_AT_ONCE);
      await kvm.vcpuIoctl(ram.task, vcpu, { id: TdxCmdId.InitMemRegion, flags, data });
      await pace.breathe();
    }
  }
}
