import { Assembler } from "../assembler.js";
import { ValueError } from "../errors.js";
import { eax, ecx, edi, esp, r15, rsi } from "../registers.js";
import { emitCommands } from "./commands.js";
import { emitConsole } from "./console.js";
import { createGuest, type Platform } from "./context.js";
import { emitInterrupts } from "./interrupts.js";
import { IMAGE_LIMIT, layoutAt } from "./layout.js";
import { emitShell } from "./shell.js";
import { emitTables } from "./tables.js";

/** What the guest needs to know of the machine; everything has a default. Ports are 0..0xffff, values are bytes. */
export interface BuiltinGuestOptions {
  /** Where the image will lie: a multiple of 4 KiB, 64 KiB to 1 GiB. Default 1 MiB. */
  readonly loadAddress?: number;
  /** ACPI sleep control register of hardware-reduced ACPI (ACPI 6.4, 4.8.3.7). Default 0x600. */
  readonly sleepPort?: number;
  /** SLP_TYP of S5 in bits 2 to 4 and SLP_EN, bit 5. Default 0x34: SLP_TYP 5. */
  readonly sleepValue?: number;
  /** ACPI reset register (ACPI 6.4, 4.8.3.6). Default 0x602; when nothing answers there the guest triple-faults. */
  readonly resetPort?: number;
  /** Default 1. */
  readonly resetValue?: number;
  /** Gets the exit status as a byte just before power-off. Default 0xf4. */
  readonly statusPort?: number;
  /** Input clock of the local APIC timer in Hz. Default 1 GHz. */
  readonly apicHz?: number;
  /** Time-stamp counter frequency in Hz. Default 1 GHz. */
  readonly tscHz?: number;
  /** Timer interrupts a second. Default 100. */
  readonly timerHz?: number;
}

/** A guest program ready to be copied into memory. */
export interface GuestImage {
  readonly image: Uint8Array;
  /** Physical address of the first byte of `image`. */
  readonly loadAddress: number;
  /** Physical address of the first instruction. */
  readonly entry: number;
  /** First physical address behind the image and its working area: memory up to here must be RAM. */
  readonly end: number;
}

const DEFAULTS: Platform = {
  sleepPort: 0x600,
  sleepValue: (5 << 2) | 0x20,
  resetPort: 0x602,
  resetValue: 1,
  statusPort: 0xf4,
  apicHz: 1e9,
  tscHz: 1e9,
  timerHz: 100,
};

/**
 * The built-in guest: a monitor on COM1 that runs without an operating system.
 *
 * It is entered like a 64-bit Linux kernel (Documentation/arch/x86/boot.rst, "64-bit boot protocol"): long mode, flat
 * segments, interrupts off, RSI = zero page, and memory up to `end` and the zero page identity-mapped. It then lives on
 * its own GDT, TSS, IDT and page tables, counts local APIC timer interrupts, and halts while it waits for input.
 * A command in `exec="..."` on the kernel command line is run instead of the monitor, and the machine powered off.
 *
 * @throws ValueError for an option outside its range
 * @example const { image, loadAddress, entry } = builtinGuest();
 */
export function builtinGuest({ loadAddress = 0x10_0000, ...options }: BuiltinGuestOptions = {}): GuestImage {
  const platform: Platform = { ...DEFAULTS, ...options };
  check("loadAddress", loadAddress, 0x1_0000, 0x4000_0000);
  if (loadAddress % 0x1000 !== 0) throw new ValueError(`loadAddress ${loadAddress}: expected a multiple of 4096`);
  for (const name of ["sleepPort", "resetPort", "statusPort"] as const) check(name, platform[name], 0, 0xffff);
  for (const name of ["sleepValue", "resetValue"] as const) check(name, platform[name], 0, 0xff);
  check("apicHz", platform.apicHz, 1e6, 0xffff_ffff);
  check("tscHz", platform.tscHz, 1e6, 1e11);
  check("timerHz", platform.timerHz, 1, 10_000);

  const at = layoutAt(loadAddress);
  const a = new Assembler({ org: loadAddress });
  const g = createGuest(a, at, platform);
  emitEntry();
  emitTables(g);
  emitInterrupts(g);
  emitConsole(g);
  const commands = emitCommands(g);
  emitShell(
    g,
    commands,
    "\nBuilt-in guest: x86-64 long mode, 4-level paging, local APIC timer.\nType help for the commands.\n",
  );
  g.placeTexts();
  const image = a.assemble();
  if (image.length > IMAGE_LIMIT) throw new ValueError(`image of ${image.length} bytes: expected up to ${IMAGE_LIMIT}`);
  return { image, loadAddress, entry: loadAddress, end: at.end };

  /** Entry: clear the working area, leave the loader's tables and stack, then exec= or the shell. */
  function emitEntry(): void {
    a.cli();
    a.cld();
    a.mov(r15, rsi);
    a.mov(edi, at.pml4);
    a.mov(ecx, (at.end - at.pml4) / 8);
    a.xor(eax, eax);
    a.rep().stosq();
    a.mov(esp, at.stackTop);
    a.call(g.sub.setupTables);
    a.call(g.sub.setupInterrupts);
    a.sti();
    a.mov(rsi, r15);
    a.call(g.sub.execFromCommandLine);
    a.jmp(g.sub.shell);
  }
}

function check(name: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new ValueError(`${name} ${value}: expected an integer from ${low} to ${high}`);
  }
}
