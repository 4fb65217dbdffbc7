import { CodeCache, type CpuidLeaf, CpuidTable, Jit, type Vcpu } from "@vm/cpu";
import {
  type AcpiDesc,
  type AcpiDevice,
  ApicBus,
  type BlockBackend,
  buildAcpiTables,
  CmosRtc,
  FW_CFG_DMA_PORTS,
  FwCfg,
  type IoApic,
  type LocalApic,
  type LocalApicState,
  MmioBus,
  POWER_PORTS,
  PortBus,
  PowerControl,
  type Turns,
  Uart16550A,
  VirtioBlk,
  type VirtioDevice,
  VirtioRng,
  within,
} from "@vm/devices";
import type { Mmu } from "@vm/mmu";
import { writeBiosData } from "../boot/bios-data.js";
import type { VirtualClock } from "../clock.js";
import type { Engine } from "../engine.js";
import { MachineError } from "../error.js";
import * as L from "../layout.js";
import { compilePatiently } from "../patient-compiler.js";
import type { GuestRam } from "../ram.js";
import { ReachableMemory } from "../reach.js";
import type { VcpuHandle } from "../vcpu-handle.js";
import { AdditionsTable } from "./additions.js";
import { Generation } from "./generation.js";
import { ownsHypercall } from "./hypercalls.js";
import { Interrupts } from "./interrupts.js";
import { attachLegacy } from "./legacy.js";
import { Parts } from "./parts.js";
import { acpiOf, attachPci, type PciBus } from "./pci.js";
import { type Power, powerOf } from "./power.js";
import { buildProcessor } from "./processor.js";
import { type BoardState, readBoard } from "./state.js";
import { attachTestDevices } from "./test-devices.js";
import { type VirtioSlot, VirtioSlots } from "./virtio-slots.js";

export interface BoardOptions {
  readonly cpus: number;
  /** Bytes of guest RAM. */
  readonly ram: number;
  /** Where it is. */
  readonly guest: GuestRam;
  readonly clock: VirtualClock;
  readonly engine: Engine;
  readonly disks: readonly BlockBackend[];
  /** When devices work that take longer than an access. */
  readonly turns: Turns;
  /** With two 8259A, an 8254 and system control port B. */
  readonly legacyDevices: boolean;
  /** With PCI, as Intel's Q35 has it, and virtio devices behind it. Default false. */
  readonly pci?: boolean;
  /** The guest's memory is private: nothing is written there but by the guest, and devices reach what it shares. */
  readonly privateGuest?: boolean;
  /** The guest goes on from memory that is still to come: nothing is written there before. Default false. */
  readonly resumes?: boolean;
  /** With a virtual machine generation ID, where the guest's memory is not private. Default true. */
  readonly generationId?: boolean;
  /** With fw_cfg, by which firmware learns what there is; see {@link Board.fwCfg}. */
  readonly firmware?: boolean;
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
  /** A processor has been reset by INIT. */
  readonly onInit: (vcpu: Vcpu) => void;
  /** Memory that a device waits for cannot be had. */
  readonly onMemoryLost: (error: unknown) => void;
  /** A processor has done much: it is to be kicked if it has run for long enough. */
  readonly onLook: () => void;
  /** A processor as plugins know it. */
  readonly handle: (id: number) => VcpuHandle;
}

/** Where tables are that the guest is handed. */
export type TablePlaces = Pick<AcpiDesc, "base" | "wakeupMailbox">;

/** Of the devices' timers, in the order in which those go that are due at the same time. The local APIC's follow, by number. */
const Rank = { Uart: 1, Auxiliary: 2, Pit: 3, LocalApic: 8 } as const;

/** Requests of a disk that are in flight at a time. */
const DISK_DEPTH = 16;

/** The board: every device, wired. What plugins attach stands in the ACPI tables, which {@link Board.seal} writes. */
export class Board {
  readonly memory: WebAssembly.Memory;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  /** Makes code for what is hot; null if everything is interpreted. */
  readonly jit: Jit | null;
  /** The first is the bootstrap processor. */
  readonly vcpus: readonly [Vcpu, ...Vcpu[]];
  readonly apics: readonly LocalApic[];
  readonly ports = new PortBus();
  readonly mmio = new MmioBus();
  readonly interrupts: Interrupts;
  /** COM1, the console. */
  readonly uart: Uart16550A;
  /** COM2. */
  readonly auxiliary: Uart16550A;
  readonly additions: AdditionsTable;
  /** Null for a guest that has none. */
  readonly generation: Generation | null;
  /** What firmware is told; null on a board without firmware. */
  readonly fwCfg: FwCfg | null;
  /** Guest-physical address of the ACPI root pointer. */
  readonly rsdp = L.ACPI_TABLES;
  /** Where the guest powers off and resets. */
  readonly power: Power;
  /** Its devices, by name. */
  readonly parts = new Parts();
  readonly #pci: PciBus | null;
  readonly #virtio: VirtioSlots;
  readonly #described: AcpiDevice[] = [];
  readonly #legacy: boolean;
  #sealed = false;

  constructor(options: BoardOptions) {
    const { clock, turns } = options;
    const { parts } = this;
    const { memory, layout, mmu } = options.guest;
    this.memory = memory;
    this.mmu = mmu;
    this.#legacy = options.legacyDevices;
    this.code = new CodeCache(memory, ...layout.code);
    const { ports, mmio, code } = this;
    const atOnce = options.engine === "jit" ? { threshold: 1, again: 1, batch: 1 } : {};
    this.jit =
      options.engine === "interpreter" ? null : new Jit(memory, code, { compile: compilePatiently, ...atOnce });
    const { jit } = this;
    const apicBus = new ApicBus();
    this.interrupts = new Interrupts(apicBus);
    const { interrupts } = this;
    mmio.attach(L.IO_APIC, 4096, interrupts.ioApic);

    const onRequest = (): void => this.apics[0]?.externalChanged();
    const { onPowerOff, onReset, pci = false } = options;
    const legacy = options.legacyDevices
      ? attachLegacy({ ...options, clock: clock.ranked(Rank.Pit), parts, ports, interrupts, pci, onRequest })
      : null;

    // A person's line is paced, since its guest may have no flow control; on the other one both sides know what the other can take.
    const { onConsole, onAuxiliary } = options;
    const lines = [
      { irq: interrupts.line(L.COM1_GSI), onTransmit: onConsole, clock: clock.ranked(Rank.Uart), paced: true },
      { irq: interrupts.line(L.COM2_GSI), onTransmit: onAuxiliary, clock: clock.ranked(Rank.Auxiliary) },
    ] as const;
    this.uart = parts.add("uart", new Uart16550A(lines[0]));
    this.auxiliary = parts.add("auxiliary", new Uart16550A(lines[1]));
    ports.attach(L.COM1, 8, this.uart);
    ports.attach(L.COM2, 8, this.auxiliary);
    ports.attach(L.RTC, 2, parts.add("rtc", new CmosRtc({ clock: { unixTime: options.unixTime } })));
    this.power = powerOf({ ...options, pci });
    this.#pci = pci ? attachPci({ ...options, parts, ports, mmio, mmu }) : null;
    if (!pci) ports.attach(L.POWER, POWER_PORTS, new PowerControl({ basePort: L.POWER, onPowerOff, onReset }));
    if (options.testDevices)
      attachTestDevices({ ...options, parts, ports, mmio, lines: interrupts.lines(), processors: options.cpus });
    else
      ports.attach(L.EXIT_STATUS, 1, {
        ioWidth: 1,
        ioRead: () => 0xff,
        ioWrite: (_port, _size, status) => options.onExitStatus(status),
      });

    const { onMemoryLost: onLost } = options;
    const reachable = new ReachableMemory(mmu, { begin: () => turns.begin(), onLost });
    this.fwCfg = options.firmware === true ? this.#attachFwCfg(options, reachable) : null;
    this.#virtio = new VirtioSlots({
      ...{ parts, mmio, pci: this.#pci, apicBus, interrupts, memory: reachable, turns },
      accessPlatform: options.privateGuest === true,
    });
    this.#attachDisks(options);

    const cpuid = new CpuidTable(options.cpuid);
    const ownsMsr = (msr: number): boolean => this.apics[0]?.ownsMsr(msr) ?? false;
    this.additions = new AdditionsTable({ cpuid, ownsMsr, ownsHypercall });
    const { additions } = this;
    const external = legacy?.pics ?? null;
    const shared = {
      ...options,
      firstRank: Rank.LocalApic,
      ...{ memory, layout, mmu, code, jit, ports, mmio, apicBus, cpuid, additions, external, reachable },
    };
    const bootstrap = buildProcessor(0, shared);
    const others = Array.from({ length: options.cpus - 1 }, (_, k) => buildProcessor(k + 1, shared));
    const processors = [bootstrap, ...others];
    this.vcpus = [bootstrap.vcpu, ...others.map(({ vcpu }) => vcpu)];
    this.apics = processors.map(({ apic }) => apic);

    mmu.onInvalidate((gfn, pages, replaced) => {
      for (const vcpu of this.vcpus) vcpu.tlb.flush();
      if (replaced) code.dropAll(gfn, pages);
    });
    mmu.onHostWrite((gfn) => code.drop(gfn));
    const begins = options.resumes !== true;
    if (options.privateGuest !== true && begins) writeBiosData(mmu);
    const hasGeneration = options.privateGuest !== true && options.generationId !== false;
    this.generation = hasGeneration ? new Generation(mmu, interrupts.line(L.GENERATION_GSI)) : null;
    if (begins) this.generation?.begin(clock.mode === "icount");
  }

  get ioApic(): IoApic {
    return this.interrupts.ioApic;
  }

  /**
   * What all devices are like: interrupt controllers, which know the levels of all wires, after what drives these, and local APICs last, whose timers go by the
   * processors' time stamp counters.
   */
  save(): BoardState {
    return {
      parts: this.parts.save(),
      ioApic: this.interrupts.ioApic.save(),
      pics: this.interrupts.pics?.save() ?? null,
      apics: this.apics.map((apic) => apic.save()),
    };
  }

  /** Takes a saved state of a board with the same devices, when its processors and the clock have theirs. */
  restore(state: BoardState): void {
    const { parts, ioApic, pics, apics } = readBoard(this.apics.length, this.interrupts.pics !== null)(state);
    within("parts", () => this.parts.restore(parts));
    if (pics !== null) within("pics", () => this.interrupts.pics?.restore(pics));
    within("ioApic", () => this.interrupts.ioApic.restore(ioApic));
    for (const [k, apic] of this.apics.entries()) within(`apics[${k}]`, () => apic.restore(apics[k] as LocalApicState));
  }

  #attachFwCfg({ ram, cpus, turns }: BoardOptions, memory: ReachableMemory): FwCfg {
    const fwCfg = new FwCfg({ basePort: L.FW_CFG, ram, processors: cpus, dma: { memory, turns } });
    this.ports.attach(L.FW_CFG, FW_CFG_DMA_PORTS, fwCfg);
    return this.parts.add("fw-cfg", fwCfg);
  }

  #attachDisks({ disks, clock, random, onDiskError }: BoardOptions): void {
    // The order in which a host finishes requests is not the guest's affair where runs repeat exactly.
    const depth = clock.mode === "icount" ? 1 : DISK_DEPTH;
    disks.forEach((backend, k) => {
      this.#virtio.attach(new VirtioBlk({ backend, serial: `vm-disk-${k}`, onError: onDiskError, depth }));
    });
    if (disks.length === 0) return;
    const fill = (dst: Uint8Array): void => {
      for (let k = 0; k < dst.length; k++) dst[k] = random() & 0xff;
    };
    this.#virtio.attach(new VirtioRng({ entropy: { fill } }));
  }

  /**
   * Puts a virtio device into the next slot.
   * @throws {MachineError} `exhausted` if no interrupt is left, `state` once the guest has been told what there is
   */
  attachVirtio<S>(device: VirtioDevice<S>): VirtioSlot {
    this.#beforeSealed();
    return this.#virtio.attach(device);
  }

  /** Has the guest find a device by its ACPI name. @throws {MachineError} `state` once the guest has been told what there is */
  describe(device: AcpiDevice): void {
    this.#beforeSealed();
    this.#described.push(device);
  }

  /** Addresses or ports that neither a device nor memory has; null if there are not as many in a row. */
  freePorts(count: number): number | null {
    return this.ports.free(count, ...L.FREE_PORTS);
  }

  freeAddresses(size: number): number | null {
    const [first, to] = this.#pci === null ? L.FREE_MMIO : L.PCI_FREE_MMIO;
    let from: number = first;
    for (;;) {
      const base = this.mmio.free(size, from, to);
      const slot = this.mmu.memslots.find(
        ({ gpa, size: length }) => base !== null && gpa < base + size && base < gpa + length,
      );
      if (base === null || slot === undefined) return base;
      from = slot.gpa + slot.size;
    }
  }

  #beforeSealed(): void {
    if (this.#sealed)
      throw new MachineError("state", "devices that the guest is to find are attached in a plugin's install");
  }

  /** Nothing can be added from now on: the guest was told long ago what there is. */
  sealUntold(): void {
    this.#sealed = true;
  }

  /**
   * What the guest is told there is: the ACPI tables. Nothing can be added from then on.
   * @param base guest-physical address of the tables
   * @throws {AmlError} for a device that they cannot describe
   */
  seal({ base, wakeupMailbox }: TablePlaces = { base: this.rsdp }): Uint8Array {
    this.#sealed = true;
    return buildAcpiTables({
      base,
      ...(wakeupMailbox === undefined ? {} : { wakeupMailbox }),
      apicIds: this.vcpus.map((vcpu) => vcpu.id),
      localApicAddress: L.LOCAL_APIC,
      ioApic: { id: 0, address: L.IO_APIC, gsiBase: 0 },
      ...this.power.acpi,
      legacyDevices: this.#legacy,
      uarts: [
        { port: L.COM1, gsi: L.COM1_GSI },
        { port: L.COM2, gsi: L.COM2_GSI },
      ],
      rtcPort: L.RTC,
      virtio: this.#virtio.windows,
      ...(this.#pci === null ? {} : { pci: acpiOf(this.#pci, this.#virtio.functions) }),
      ...(this.generation === null ? {} : { generation: { gpa: L.GENERATION, gsi: L.GENERATION_GSI } }),
      devices: this.#described,
    }).bytes;
  }
}
