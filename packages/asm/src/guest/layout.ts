/**
 * Where the guest keeps things. The image is code, constant data and the initial GDT; the working area follows it at a
 * fixed distance and is cleared at entry, so it takes no room in the image.
 */

/** Bytes between the load address and the working area: an upper limit of the image size. */
export const IMAGE_LIMIT = 0x3000;

/** Offsets in the working area, in bytes. Page-sized structures come first to stay aligned. */
const OFFSETS = {
  pml4: 0x0000,
  /** Identity map of the first 4 GiB: one PDPT, four page directories of 2 MiB pages. */
  pdpt: 0x1000,
  pageDirectories: 0x2000,
  /** Second PML4 slot: a window of 4 KiB pages (see {@link WINDOW}), of which only the first is present. */
  windowPdpt: 0x6000,
  windowPd: 0x7000,
  windowPt: 0x8000,
  idt: 0x9000,
  /** Two stacks, each growing down from its top: 8 KiB for the monitor, 4 KiB for double faults. */
  stackTop: 0xc000,
  faultStackTop: 0xd000,
  /** The page the window shows; the structures from here on share it. */
  statePage: 0xd000,
  tss: 0xd000,
  ticks: 0xd080,
  /** Where an exception continues, or 0: exceptions outside a guarded access are fatal. */
  recoverAt: 0xd088,
  /** The last guarded exception: vector, error code, CR2, RIP. */
  faultVector: 0xd090,
  faultError: 0xd098,
  faultAddress: 0xd0a0,
  faultRip: 0xd0a8,
  /** Ring of received bytes: free-running head (interrupt side) and tail. */
  ringHead: 0xd0b0,
  ringTail: 0xd0b4,
  /** Set after CR, so that the LF of a CR LF pair is not a second line. */
  lastWasCr: 0xd0b8,
  ring: 0xd100,
  line: 0xd200,
  end: 0xe000,
} as const;

/** The working area as absolute addresses. */
export type Layout = { readonly [K in keyof typeof OFFSETS]: number };

/** Addresses for an image loaded at `loadAddress`. */
export function layoutAt(loadAddress: number): Layout {
  const entries = Object.entries(OFFSETS).map(([name, offset]) => [name, loadAddress + IMAGE_LIMIT + offset]);
  return Object.fromEntries(entries) as Layout;
}

/** Linear address of the window of 4 KiB pages: PML4 slot 1, so that a walk of all four levels leads there. */
export const WINDOW = 0x80_0000_0000n;

/** Capacity of the receive ring and of the line buffer, in bytes. */
export const RING_SIZE = 256;
export const LINE_SIZE = 256;

/** GDT selectors. */
export const SELECTOR = { code: 0x08, data: 0x10, tss: 0x18 } as const;

/** Interrupt vectors; the first 32 are the architecture's exceptions. */
export const VECTOR = {
  doubleFault: 8,
  pageFault: 14,
  exceptions: 32,
  timer: 0x20,
  uart: 0x24,
  spurious: 0xff,
} as const;

/** COM1 (16550A data sheet): registers as ports, and the bits used here. */
export const UART = {
  data: 0x3f8,
  interruptEnable: 0x3f9,
  fifoControl: 0x3fa,
  lineControl: 0x3fb,
  modemControl: 0x3fc,
  lineStatus: 0x3fd,
  dataReady: 0x01,
  transmitEmpty: 0x20,
} as const;

/** Local APIC, memory-mapped (SDM vol. 3, table 11-1). */
export const APIC = {
  base: 0xfee0_0000,
  id: 0x20,
  taskPriority: 0x80,
  eoi: 0xb0,
  spurious: 0xf0,
  lvtTimer: 0x320,
  lvtLint0: 0x350,
  lvtLint1: 0x360,
  initialCount: 0x380,
  divide: 0x3e0,
  masked: 1 << 16,
  periodic: 1 << 17,
  divideBy1: 0xb,
} as const;

/** I/O APIC (82093AA data sheet): index and data registers, redirection entry 4 is IRQ 4. */
export const IOAPIC = { base: 0xfec0_0000, index: 0, data: 0x10, redirection: 0x10, comIrq: 4 } as const;

/** Fields of the zero page (Linux Documentation/arch/x86/zero-page.rst): the command line's address, low and high half. */
export const ZERO_PAGE = { cmdLinePtr: 0x228, extCmdLinePtr: 0xc8 } as const;

/** Exit statuses besides the commands' own, as a shell has them. */
export const STATUS = { ok: 0, failed: 1, usage: 2, unknownCommand: 127 } as const;
