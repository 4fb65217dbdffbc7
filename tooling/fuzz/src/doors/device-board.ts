import {
  AcpiPm,
  ApicBus,
  CmosRtc,
  DEBUG_EXIT_PORTS,
  DebugExit,
  decodeMsi,
  ELCR_PORTS,
  FW_CFG_PORTS,
  FwCfg,
  I8254,
  IO_APIC_PINS,
  type IrqLine,
  LocalApic,
  MmioBus,
  type MmioSize,
  PCI_PORT,
  PCI_PORTS,
  PIC_PORTS,
  PIT_PORTS,
  PicPair,
  PM_PORTS,
  POWER_PORTS,
  POWER_S5_TYPE,
  PortBus,
  type PortSize,
  PowerControl,
  ShutdownPort,
  SystemControlPort,
  TEST_DEVICE_MEMORY,
  TEST_DEVICE_PORTS,
  TestDevice,
  Uart16550A,
  VIRTIO_MMIO_SIZE,
  VirtioMmio,
  VirtioPci,
  VirtioRng,
} from "@vm/devices";
import { Interrupts } from "../../../../apps/machine/src/board/interrupts.js";
import { Parts } from "../../../../apps/machine/src/board/parts.js";
import { attachPci } from "../../../../apps/machine/src/board/pci.js";
import { VirtualClock } from "../../../../apps/machine/src/clock.js";
import * as L from "../../../../apps/machine/src/layout.js";
import { RingHost } from "../rings/ring-host.js";

export const CPUS = 2;
const MEMORY = 2 ** 20;

/** Ports with a device, as base and count; what a guest finds elsewhere is nobody's. */
export const PORT_RANGES: readonly (readonly [number, number])[] = [
  [L.COM1, 8],
  [L.COM2, 8],
  [L.PIC_MASTER, PIC_PORTS],
  [L.PIC_SLAVE, PIC_PORTS],
  [L.ELCR, ELCR_PORTS],
  [L.PIT, PIT_PORTS],
  [L.SYSTEM_CONTROL, 1],
  [L.RTC, 2],
  [L.POWER, POWER_PORTS],
  [L.ACPI_PM, PM_PORTS],
  [L.TEST_PORTS, TEST_DEVICE_PORTS],
  [L.TEST_IRQ_PORTS, IO_APIC_PINS],
  [L.EXIT_STATUS, DEBUG_EXIT_PORTS],
  [L.SHUTDOWN_PORT, 1],
  [L.FW_CFG, FW_CFG_PORTS],
  [PCI_PORT, PCI_PORTS],
];

/** Device numbers of the PCI bus: those that there are, and one that is not. */
export const PCI_DEVICES = [0, 1, 2, 3, 31] as const;
/** Where they can decode memory: its first address. */
export const [PCI_MEMORY] = L.pciMemory(MEMORY);

/** Windows of device memory, as address and bytes; those of the local APICs are asked by processor. */
export const WINDOWS: readonly (readonly [number, number])[] = [
  [L.IO_APIC, 4096],
  [L.VIRTIO, VIRTIO_MMIO_SIZE],
  [L.TEST_MEMORY, TEST_DEVICE_MEMORY],
];

/** Every device of a machine on its buses, without processors: what they would hear is counted. */
export class Board {
  readonly clock = new VirtualClock("icount");
  readonly ports = new PortBus();
  readonly mmio = new MmioBus();
  readonly apics: LocalApic[] = [];
  readonly uarts: readonly Uart16550A[];
  readonly host = new RingHost(MEMORY);
  /** What a processor or a person would have heard, by name. */
  readonly heard: Record<string, number> = {};
  /** Whether the far end of each line takes nothing: no state of the machine's. */
  readonly held = [false, false];
  /** ns that each processor's TSC is ahead of the clock. */
  readonly tscOffset = [0, 0];
  readonly #parts: Readonly<Record<string, { save(): unknown; restore(state: never): void }>>;

  constructor() {
    const { clock, ports, mmio } = this;
    const hear = (name: string) => (): void => {
      this.heard[name] = (this.heard[name] ?? 0) + 1;
    };
    const bus = new ApicBus();
    const interrupts = new Interrupts(bus);
    const { ioApic } = interrupts;
    mmio.attach(L.IO_APIC, 4096, ioApic);
    const pics = new PicPair({ onRequest: () => this.apics[0]?.externalChanged() });
    ports.attach(L.PIC_MASTER, PIC_PORTS, pics.master);
    ports.attach(L.PIC_SLAVE, PIC_PORTS, pics.slave);
    ports.attach(L.ELCR, ELCR_PORTS, pics.elcr);
    interrupts.connect(pics);
    for (let id = 0; id < CPUS; id++) {
      const apic = new LocalApic({
        id,
        bootstrap: id === 0,
        bus,
        clock,
        tsc: { tscToNs: (ticks) => ticks - (this.tscOffset[id] ?? 0) },
        cpu: { interrupt: hear("interrupt"), nmi: hear("nmi"), init: hear("init"), sipi: hear("sipi") },
        physicalAddressBits: 40,
        ...(id === 0 ? { external: pics } : {}),
      });
      bus.attach(apic);
      this.apics.push(apic);
    }
    const line = (irq: number): IrqLine => interrupts.line(irq);
    const pit = new I8254({ clock, irq: line(0) });
    ports.attach(L.PIT, PIT_PORTS, pit);
    const control = new SystemControlPort({ clock, pit });
    ports.attach(L.SYSTEM_CONTROL, 1, control);
    const onTransmit = hear("byte");
    const com1 = new Uart16550A({ irq: line(L.COM1_GSI), onTransmit, clock, paced: true });
    const com2 = new Uart16550A({ irq: line(L.COM2_GSI), onTransmit, clock });
    this.uarts = [com1, com2];
    ports.attach(L.COM1, 8, com1);
    ports.attach(L.COM2, 8, com2);
    const rtc = new CmosRtc({ clock: { unixTime: () => 1.7e9 + clock.now() / 1e9 } });
    ports.attach(L.RTC, 2, rtc);
    const power = new PowerControl({ basePort: L.POWER, onPowerOff: hear("off"), onReset: hear("reset") });
    ports.attach(L.POWER, POWER_PORTS, power);
    const pm = new AcpiPm({ clock, basePort: L.ACPI_PM, s5Type: POWER_S5_TYPE, onPowerOff: hear("off") });
    ports.attach(L.ACPI_PM, PM_PORTS, pm);
    const test = new TestDevice({ lines: Array.from({ length: IO_APIC_PINS }, (_, irq) => line(irq)) });
    ports.attach(L.TEST_PORTS, TEST_DEVICE_PORTS, test);
    ports.attach(L.TEST_IRQ_PORTS, IO_APIC_PINS, test.irqPorts);
    mmio.attach(L.TEST_MEMORY, TEST_DEVICE_MEMORY, test);
    ports.attach(L.EXIT_STATUS, DEBUG_EXIT_PORTS, new DebugExit({ onExit: hear("exit") }));
    const shutdown = new ShutdownPort({ onShutdown: hear("off") });
    ports.attach(L.SHUTDOWN_PORT, 1, shutdown);
    const fwCfg = new FwCfg({ basePort: L.FW_CFG, ram: MEMORY, processors: CPUS });
    ports.attach(L.FW_CFG, FW_CFG_PORTS, fwCfg);
    const entropy = { fill: (to: Uint8Array): void => void to.fill(0x5a) };
    const rng = new VirtioRng({ entropy });
    const virtio = new VirtioMmio({
      device: rng,
      memory: this.host,
      irq: ioApic.line(16),
      turns: this.host,
    });
    mmio.attach(L.VIRTIO, VIRTIO_MMIO_SIZE, virtio);
    // The power management block has no place until the guest finds it one: where firmware would put it there is `power`.
    const pci = attachPci({
      parts: new Parts(),
      ...{ ports, mmio, mmu: { memslots: [] }, ram: MEMORY, clock },
      ...{ onPowerOff: hear("off"), onReset: hear("reset") },
    });
    const [first, second] = [17, 18].map((gsi, k) => {
      const transport = new VirtioPci({
        ...{ device: new VirtioRng({ entropy }), memory: this.host, turns: this.host, irq: ioApic.line(gsi) },
        sendMsi: (message) => {
          const interrupt = decodeMsi(message);
          if (interrupt !== null) bus.send(interrupt);
        },
        decode: pci.memory,
      });
      pci.host.attach({ device: 1 + k, function: 0 }, transport);
      return transport;
    }) as [VirtioPci<unknown>, VirtioPci<unknown>];
    const { host, mch, lpc, pm: ich9 } = pci;
    const bridges = { host, mch, lpc, ich9, first, second };
    // Those that drive interrupt lines come before those that the lines lead to.
    const drivers = { com1, com2, pit, control, test, virtio, ...bridges };
    this.#parts = { ...drivers, rtc, power, pm, shutdown, fwCfg, pics, ioApic };
  }

  /** The memory access of processor `cpu`, whose APIC comes before the bus. */
  read(cpu: number, gpa: number, size: MmioSize | 8): number {
    const page = this.apics[cpu]?.pageBase ?? null;
    if (page !== null && gpa >= page && gpa < page + 4096 && size <= 4)
      return (this.apics[cpu] as LocalApic).mmioRead(gpa - page, size as MmioSize);
    return this.mmio.read(gpa, size);
  }

  write(cpu: number, gpa: number, size: MmioSize | 8, lo: number, hi: number): void {
    const page = this.apics[cpu]?.pageBase ?? null;
    if (page !== null && gpa >= page && gpa < page + 4096 && size <= 4)
      (this.apics[cpu] as LocalApic).mmioWrite(gpa - page, size as MmioSize, lo);
    else this.mmio.write(gpa, size, lo, hi);
  }

  portRead(port: number, size: PortSize): number {
    return this.ports.read(port, size);
  }

  save(): Record<string, unknown> {
    const parts = Object.entries(this.#parts).map(([name, part]) => [name, part.save()] as const);
    return {
      ...Object.fromEntries(parts),
      tscOffset: [...this.tscOffset],
      apics: this.apics.map((apic) => apic.save()),
    };
  }

  /** The far end of line `which` takes nothing, or does again. */
  hold(which: number, held: boolean): void {
    this.held[which] = held;
    this.uarts[which]?.hold(held);
  }

  /** Takes what another board at the same time of the clock has saved. */
  restore(state: Record<string, unknown>): void {
    (state.tscOffset as number[]).forEach((ns, id) => {
      this.tscOffset[id] = ns;
    });
    for (const [name, part] of Object.entries(this.#parts)) part.restore(state[name] as never);
    (state.apics as never[]).forEach((saved, id) => {
      this.apics[id]?.restore(saved);
    });
  }
}
