import { CodeCache, type CpuidLeaf, type CpuidPort, CpuidTable, generateInterpreter, Vcpu } from "@vm/cpu";
import {
  ApicBus,
  type BlockBackend,
  buildAcpiTables,
  CmosRtc,
  IO_APIC_PINS,
  IoApic,
  KVM_CLOCK_FEATURES,
  KvmClock,
  LocalApic,
  MmioBus,
  type MmioSize,
  POWER_PORTS,
  POWER_RESET,
  POWER_RESET_VALUE,
  POWER_S5_TYPE,
  POWER_SLEEP_CONTROL,
  POWER_SLEEP_STATUS,
  PortBus,
  type PortSize,
  PowerControl,
  type Turns,
  Uart16550A,
  VIRTIO_MMIO_SIZE,
  VirtioBlk,
  VirtioMmio,
  VirtioRng,
} from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import { writeBiosData } from "./boot/bios-data.js";
import type { VirtualClock } from "./clock.js";
import { answerHypercall } from "./hypercalls.js";
import * as L from "./layout.js";
import { attachLegacy, irqLine } from "./legacy.js";
import type { GuestRam } from "./ram.js";
import { ReachableMemory } from "./reach.js";
import { attachTestDevices } from "./test-devices.js";

export interface SystemOptions {
  readonly cpus: number;
  /** Bytes of guest RAM. */
  readonly ram: number;
  /** Where it is. */
  readonly guest: GuestRam;
  readonly clock: VirtualClock;
  readonly disks: readonly BlockBackend[];
  /** When devices work that take longer than an access. */
  readonly turns: Turns;
  /** With two 8259A, an 8254 and system control port B. */
  readonly legacyDevices: boolean;
  /** With KVM's paravirtual clock. */
  readonly kvmClock: boolean;
  /** With the devices of test programs; without them the exit-status port is a single byte that ends nothing. */
  readonly testDevices: boolean;
  readonly cpuid?: readonly CpuidLeaf[];
  /** Seconds since 1970 for the real-time clock. */
  readonly unixTime: () => number;
  readonly random: () => number;
  readonly onConsole: (byte: number) => void;
  /** The guest sent a byte over COM2. */
  readonly onAuxiliary: (byte: number) => void;
  readonly onPowerOff: () => void;
  readonly onReset: () => void;
  /** The guest wrote a byte to the exit-status port. */
  readonly onExitStatus: (status: number) => void;
  /** The guest wrote to the debug-exit port, `testDevices` only. */
  readonly onDebugExit: (code: number) => void;
  /** Something waits for a processor that may be idle or not the one that is running. */
  readonly onAttention: (vcpu: Vcpu) => void;
  readonly onDiskError: (error: unknown) => void;
  /** A processor has done much: it is to be kicked if it has run for long enough. */
  readonly onLook: () => void;
}

/** The board: every device, wired. The only file that knows them all. */
export interface System {
  readonly memory: WebAssembly.Memory;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly vcpus: readonly Vcpu[];
  readonly apics: readonly LocalApic[];
  /** COM1, the console. */
  readonly uart: Uart16550A;
  /** COM2. */
  readonly auxiliary: Uart16550A;
  readonly ioApic: IoApic;
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp: number;
}

/** Requests of a disk that are in flight at a time. */
const DISK_DEPTH = 16;

let interpreter: WebAssembly.Module | undefined;

/** The interpreter, compiled once per process. */
function compiledInterpreter(): WebAssembly.Module {
  interpreter ??= new WebAssembly.Module(generateInterpreter());
  return interpreter;
}

export function buildSystem(options: SystemOptions): System {
  const { cpus, clock } = options;
  const { memory, layout, mmu } = options.guest;
  const code = new CodeCache(memory, ...layout.code);
  const reachable = new ReachableMemory(mmu);

  const ports = new PortBus();
  const mmio = new MmioBus();
  const apicBus = new ApicBus();
  const apics: LocalApic[] = [];
  const ioApic = new IoApic({ bus: apicBus });
  apicBus.attachIoApic(ioApic);
  mmio.attach(L.IO_APIC, 4096, ioApic);

  const onRequest = (): void => apics[0]?.externalChanged();
  const { onPowerOff } = options;
  const legacy = options.legacyDevices ? attachLegacy({ ports, ioApic, clock, onRequest, onPowerOff }) : null;
  const pics = legacy?.pics ?? null;

  // A person's line is paced, since its guest may have no flow control; on the other one both sides know what the other can take.
  const uart = new Uart16550A({
    irq: irqLine(L.COM1_GSI, ioApic, pics),
    onTransmit: options.onConsole,
    clock,
    paced: true,
  });
  ports.attach(L.COM1, 8, uart);
  const auxiliary = new Uart16550A({ irq: irqLine(L.COM2_GSI, ioApic, pics), onTransmit: options.onAuxiliary, clock });
  ports.attach(L.COM2, 8, auxiliary);
  ports.attach(L.RTC, 2, new CmosRtc({ clock: { unixTime: options.unixTime } }));
  ports.attach(
    L.POWER,
    POWER_PORTS,
    new PowerControl({ basePort: L.POWER, onPowerOff: options.onPowerOff, onReset: options.onReset }),
  );

  if (options.testDevices) {
    const lines = Array.from({ length: IO_APIC_PINS }, (_, irq) => irqLine(irq, ioApic, pics));
    attachTestDevices({ ...options, ports, mmio, lines, processors: cpus });
  } else {
    ports.attach(L.EXIT_STATUS, 1, {
      ioWidth: 1,
      ioRead: () => 0xff,
      ioWrite: (_port, _size, status) => options.onExitStatus(status),
    });
  }

  const entropy = {
    fill: (dst: Uint8Array): void => {
      for (let k = 0; k < dst.length; k++) dst[k] = options.random() & 0xff;
    },
  };
  // The order in which a host finishes requests is not the guest's affair where runs repeat exactly.
  const depth = clock.mode === "icount" ? 1 : DISK_DEPTH;
  const { turns } = options;
  const virtioDevices = [
    ...options.disks.map(
      (backend, k) => new VirtioBlk({ backend, serial: `vm-disk-${k}`, onError: options.onDiskError, depth }),
    ),
    ...(options.disks.length > 0 ? [new VirtioRng({ entropy })] : []),
  ];
  const gsis = legacy === null ? L.VIRTIO_GSIS : L.VIRTIO_IRQS;
  const virtio = virtioDevices.map((device, k) => {
    const slot = { base: L.VIRTIO + k * L.VIRTIO_STRIDE, size: VIRTIO_MMIO_SIZE, gsi: gsis[k] as number };
    mmio.attach(
      slot.base,
      slot.size,
      new VirtioMmio({ device: device as never, memory: reachable, irq: irqLine(slot.gsi, ioApic, pics), turns }),
    );
    return slot;
  });

  const cpuid = new CpuidTable(options.cpuid);
  const vcpus = Array.from({ length: cpus }, (_, id) => {
    const attending =
      <A extends unknown[]>(signal: (...args: A) => void) =>
      (...args: A): void => {
        signal(...args);
        options.onAttention(vcpu);
      };
    const signals = {
      interrupt: attending(() => vcpu.interrupt()),
      nmi: attending(() => vcpu.nmi()),
      init: attending(() => vcpu.init()),
      sipi: attending((vector: number) => vcpu.sipi(vector)),
    };
    const tsc = { tscToNs: (ticks: number) => ticks - (vcpu.tscOffset.hi * 2 ** 32 + (vcpu.tscOffset.lo >>> 0)) };
    const apic = new LocalApic({
      id,
      bootstrap: id === 0,
      bus: apicBus,
      clock,
      tsc,
      cpu: signals,
      physicalAddressBits: 40,
      x2apic: (cpuid.query(1, 0).ecx & CPUID_X2APIC) !== 0,
      ...(pics !== null && id === 0 ? { external: pics } : {}),
    });
    apicBus.attach(apic);
    apics.push(apic);
    const kvmClock = options.kvmClock
      ? new KvmClock({ memory: reachable, now: () => clock.now(), tsc, unixTime: options.unixTime })
      : null;
    const bus = {
      mmioHigh: 0,
      ioRead: (port: number, size: number) => ports.read(port, size as PortSize),
      ioWrite: (port: number, size: number, value: number) => ports.write(port, size as PortSize, value),
      mmioRead: (gpa: number, size: number): number => {
        const page = apic.pageBase;
        if (page !== null && gpa >= page && gpa < page + 4096 && size <= 4)
          return apic.mmioRead(gpa - page, size as MmioSize);
        const value = mmio.read(gpa, size as MmioSize | 8);
        bus.mmioHigh = mmio.hi;
        return value;
      },
      mmioWrite: (gpa: number, size: number, lo: number, hi: number): void => {
        const page = apic.pageBase;
        if (page !== null && gpa >= page && gpa < page + 4096 && size <= 4)
          apic.mmioWrite(gpa - page, size as MmioSize, lo >>> 0);
        else mmio.write(gpa, size as MmioSize | 8, lo >>> 0, hi >>> 0);
      },
    };
    const apicPort = {
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
        const owner = kvmClock !== null && !apic.ownsMsr(msr) ? kvmClock : apic;
        const lo = owner.readMsr(msr);
        if (lo < 0) return false;
        apicPort.msrLo = lo | 0;
        apicPort.msrHi = owner.hi | 0;
        return true;
      },
      writeMsr: (msr: number, lo: number, hi: number) =>
        apic.writeMsr(msr, lo, hi) || (kvmClock?.writeMsr(msr, lo, hi) ?? false),
      tscChanged: () => apic.tscChanged(),
    };
    const vcpu: Vcpu = new Vcpu({
      id,
      memory,
      base: layout.vcpu(id),
      code,
      interpreter: compiledInterpreter(),
      bootstrap: id === 0,
      ports: {
        mmu,
        bus,
        apic: apicPort,
        clock: { tsc: () => clock.now() },
        entropy: { random: options.random },
        cpuid: boardCpuid(cpuid, apic, options.kvmClock ? KVM_CLOCK_FEATURES : 0),
        host: { look: options.onLook },
      },
    });
    vcpu.hooks.hypercall = () => {
      answerHypercall(vcpu, apicBus);
      return true;
    };
    return vcpu;
  });
  const flushAll = (): void => {
    for (const vcpu of vcpus) vcpu.tlb.flush();
  };
  mmu.onInvalidate((gfn, pages, replaced) => {
    flushAll();
    if (replaced) for (let page = gfn; page < gfn + pages; page++) code.drop(page);
  });
  mmu.onHostWrite((gfn) => code.drop(gfn));

  const acpi = buildAcpiTables({
    base: L.ACPI_TABLES,
    apicIds: vcpus.map((vcpu) => vcpu.id),
    localApicAddress: L.LOCAL_APIC,
    ioApic: { id: 0, address: L.IO_APIC, gsiBase: 0 },
    power: {
      sleepControlPort: L.POWER + POWER_SLEEP_CONTROL,
      sleepStatusPort: L.POWER + POWER_SLEEP_STATUS,
      resetPort: L.POWER + POWER_RESET,
      resetValue: POWER_RESET_VALUE,
    },
    ...(legacy === null ? {} : { fixedHardware: { basePort: L.ACPI_PM, sci: L.SCI } }),
    uarts: [
      { port: L.COM1, gsi: L.COM1_GSI },
      { port: L.COM2, gsi: L.COM2_GSI },
    ],
    rtcPort: L.RTC,
    virtio,
    s5Type: POWER_S5_TYPE,
  });
  mmu.write(L.ACPI_TABLES, acpi.bytes);
  writeBiosData(mmu);
  return { memory, mmu, code, vcpus, apics, uart, auxiliary, ioApic, ports, mmio, rsdp: acpi.rsdp };
}

/** CPUID.1:ECX. */
const CPUID_X2APIC = 1 << 21;

/**
 * CPUID with what depends on the board: CPUID.1:EDX.APIC says whether there is a local APIC, which IA32_APIC_BASE can turn off (SDM 3A
 * 11.4.3), and leaf 0x40000001 which paravirtual features there are (`kvmFeatures`, EAX).
 */
function boardCpuid(cpuid: CpuidTable, apic: LocalApic, kvmFeatures: number): CpuidPort {
  const APIC = 1 << 9;
  return {
    query: (leaf, subleaf) => {
      const answer = cpuid.query(leaf, subleaf);
      if (leaf === 1 && apic.mode === "disabled") return { ...answer, edx: answer.edx & ~APIC };
      if (leaf === 0x40000001) return { ...answer, eax: answer.eax | kvmFeatures };
      return answer;
    },
  };
}
