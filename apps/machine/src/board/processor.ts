import { type CodeCache, type CpuidPort, generateInterpreter, halvesOf, type Jit, u64, Vcpu } from "@vm/cpu";
import {
  type ApicBus,
  type ExternalInterrupts,
  type GuestMemory,
  LocalApic,
  type MmioBus,
  type MmioSize,
  type PortBus,
  type PortSize,
  type Turns,
} from "@vm/devices";
import type { Gpa, Mmu } from "@vm/mmu";
import type { VirtualClock } from "../clock.js";
import type { HostLayout } from "../layout.js";
import type { VcpuHandle } from "../vcpu-handle.js";
import type { AdditionsTable } from "./additions.js";
import { answerHypercall } from "./hypercalls.js";
import { MsrWrites } from "./msr-writes.js";
import { tscOf } from "./tsc.js";

/** What every processor of a board shares. */
export interface ProcessorDesc {
  readonly memory: WebAssembly.Memory;
  readonly layout: HostLayout;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly jit: Jit | null;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  readonly apicBus: ApicBus;
  readonly clock: VirtualClock;
  /** Of the first local APIC's timers. */
  readonly firstRank: number;
  readonly cpuid: CpuidPort;
  readonly additions: AdditionsTable;
  readonly random: () => number;
  /** The 8259A, wired to the first processor. */
  readonly external: ExternalInterrupts | null;
  /** What MSRs reach that were added, and when they do if it has yet to arrive. */
  readonly reachable: GuestMemory;
  readonly turns: Turns;
  readonly onAttention: (vcpu: Vcpu) => void;
  /** A processor has been reset by INIT. */
  readonly onInit: (vcpu: Vcpu) => void;
  readonly onLook: () => void;
  /** The processor as plugins know it. */
  readonly handle: (id: number) => VcpuHandle;
}

export interface Processor {
  readonly vcpu: Vcpu;
  readonly apic: LocalApic;
}

/** CPUID.1:ECX. */
const CPUID_X2APIC = 1 << 21;
/** CPUID.1:EDX. */
const CPUID_APIC = 1 << 9;

let interpreter: WebAssembly.Module | undefined;

/** The interpreter, compiled once per process. */
function compiledInterpreter(): WebAssembly.Module {
  interpreter ??= new WebAssembly.Module(generateInterpreter());
  return interpreter;
}

/** One processor with its local APIC, wired to each other and to the buses. */
export function buildProcessor(id: number, desc: ProcessorDesc): Processor {
  const { memory, layout, mmu, code, jit, clock, additions, turns } = desc;
  const handle = (): VcpuHandle => desc.handle(id);
  const msrWrites = new MsrWrites({ memory: desc.reachable, turns, clock });
  const init = (): void => {
    vcpu.init();
    msrWrites.reset();
    desc.onInit(vcpu);
  };
  const attending =
    <A extends unknown[]>(signal: (...args: A) => void) =>
    (...args: A): void => {
      signal(...args);
      desc.onAttention(vcpu);
    };
  const apic = new LocalApic({
    id,
    bootstrap: id === 0,
    bus: desc.apicBus,
    clock: clock.ranked(desc.firstRank + id),
    tsc: tscOf(() => vcpu),
    cpu: {
      interrupt: attending(() => vcpu.interrupt()),
      nmi: attending(() => vcpu.nmi()),
      init: attending(init),
      sipi: attending((vector: number) => vcpu.sipi(vector)),
    },
    physicalAddressBits: 40,
    x2apic: (desc.cpuid.query(1, 0).ecx & CPUID_X2APIC) !== 0,
    ...(desc.external !== null && id === 0 ? { external: desc.external } : {}),
  });
  desc.apicBus.attach(apic);
  const vcpu: Vcpu = new Vcpu({
    id,
    memory,
    base: layout.vcpu(id),
    code,
    interpreter: compiledInterpreter(),
    ...(jit === null ? {} : { jit }),
    bootstrap: id === 0,
    ports: {
      mmu,
      bus: busPort(desc, apic),
      apic: apicPort(apic, additions, msrWrites, handle),
      clock: { tsc: () => clock.now() },
      entropy: { random: desc.random },
      cpuid: additions.port(boardCpuid(desc.cpuid, apic), handle),
      host: { look: desc.onLook },
    },
  });
  vcpu.hooks.hypercall = () => {
    answerHypercall(handle(), desc.apicBus, (number) => additions.hypercallProvider(number));
    return true;
  };
  return { vcpu, apic };
}

/** The buses, with the processor's own APIC in front of what is memory-mapped. */
function busPort({ ports, mmio }: ProcessorDesc, apic: LocalApic) {
  const own = (gpa: Gpa, size: number): number => {
    const page = apic.pageBase;
    return page !== null && gpa >= page && gpa < page + 4096 && size <= 4 ? gpa - page : -1;
  };
  const bus = {
    mmioHigh: 0,
    ioRead: (port: number, size: number) => ports.read(port, size as PortSize),
    ioWrite: (port: number, size: number, value: number) => ports.write(port, size as PortSize, value),
    mmioRead: (gpa: Gpa, size: number): number => {
      const offset = own(gpa, size);
      if (offset >= 0) return apic.mmioRead(offset, size as MmioSize);
      const value = mmio.read(gpa, size as MmioSize | 8);
      bus.mmioHigh = mmio.hi;
      return value;
    },
    mmioWrite: (gpa: Gpa, size: number, lo: number, hi: number): void => {
      const offset = own(gpa, size);
      if (offset >= 0) apic.mmioWrite(offset, size as MmioSize, lo >>> 0);
      else mmio.write(gpa, size as MmioSize | 8, lo >>> 0, hi >>> 0);
    },
  };
  return bus;
}

/** The APIC as its processor sees it, and behind it the MSRs that plugins have added. */
function apicPort(apic: LocalApic, additions: AdditionsTable, msrWrites: MsrWrites, handle: () => VcpuHandle) {
  const port = {
    hasInterrupt: () => apic.hasInterrupt(),
    acknowledge: () => apic.acknowledge(),
    get cr8() {
      return apic.cr8;
    },
    set cr8(value: number) {
      apic.cr8 = value;
    },
    msrLo: 0,
    msrHi: 0,
    readMsr: (msr: number): boolean => {
      const provider = additions.msrProvider(msr);
      if (provider !== undefined) {
        const value = provider.read(handle());
        if (value !== null) [port.msrLo, port.msrHi] = halvesOf(value);
        return value !== null;
      }
      const lo = apic.readMsr(msr);
      if (lo < 0) return false;
      port.msrLo = lo | 0;
      port.msrHi = apic.hi | 0;
      return true;
    },
    writeMsr: (msr: number, lo: number, hi: number): boolean => {
      const provider = additions.msrProvider(msr);
      if (provider === undefined) return apic.writeMsr(msr, lo, hi);
      return msrWrites.write(provider, handle(), u64(lo, hi));
    },
    tscChanged: () => apic.tscChanged(),
  };
  return port;
}

/** CPUID.1:EDX.APIC says whether there is a local APIC, which IA32_APIC_BASE can turn off (SDM 3A 11.4.3). */
function boardCpuid(cpuid: CpuidPort, apic: LocalApic): CpuidPort {
  return {
    query: (leaf, subleaf) => {
      const answer = cpuid.query(leaf, subleaf);
      return leaf === 1 && apic.mode === "disabled" ? { ...answer, edx: answer.edx & ~CPUID_APIC } : answer;
    },
  };
}
