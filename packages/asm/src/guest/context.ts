import type { Assembler } from "../assembler.js";
import type { Label } from "../label.js";
import { type Mem, mem } from "../operand.js";
import { rsi } from "../registers.js";
import type { Layout } from "./layout.js";

/** What the guest is built for; see `builtinGuest()`. */
export interface Platform {
  readonly sleepPort: number;
  readonly sleepValue: number;
  readonly resetPort: number;
  readonly resetValue: number;
  readonly statusPort: number;
  readonly apicHz: number;
  readonly tscHz: number;
  readonly timerHz: number;
}

/** The guest's subroutines. Convention: RAX RCX RDX RSI RDI R8-R11 are scratch, the rest survives; arguments as noted. */
const SUBROUTINES = [
  /** AL: writes one byte to the serial line. */
  "putByte",
  /** RSI: writes a zero-terminated string, LF as CR LF. */
  "puts",
  /** RAX: writes 0x and 16 digits. */
  "putHex",
  /** RAX: writes decimal digits. */
  "putDecimal",
  /** RAX, ECX: writes decimal digits, at least ECX (1..20) of them. */
  "putPadded",
  /** Waits for a received byte, halted while there is none; returns it in EAX. */
  "getByte",
  /** RSI: skips blanks. */
  "skipBlanks",
  /** RSI: parses decimal or 0x number; returns RAX, RSI behind it and its blanks; CF when there is none. */
  "parseNumber",
  /** RSI: runs the command line there; returns the status in EAX. */
  "runLine",
  /** Prints the guarded exception of the working area. */
  "putFault",
  /** EDI: powers the machine off with this status. Does not return. */
  "powerOff",
  /** Resets the machine. Does not return. */
  "reset",
  /** Moves received bytes from the UART to the ring; clobbers RAX, RCX, RDX only. */
  "drainUart",
  /** Loads GDT, TSS and page tables of the guest's own. */
  "setupTables",
  /** Loads the IDT and starts the interrupt controllers, the timer and the UART. */
  "setupInterrupts",
  /** Reads and runs lines. Does not return. */
  "shell",
  /** RSI: the zero page; runs the command of its exec="..." and powers off, or returns when there is none. */
  "execFromCommandLine",
] as const;

export type Subroutine = (typeof SUBROUTINES)[number];

/** What every part of the guest's source shares: the assembler, labels of subroutines, constant strings, the layout. */
export interface Guest {
  readonly a: Assembler;
  readonly at: Layout;
  readonly platform: Platform;
  readonly sub: Readonly<Record<Subroutine, Label>>;
  /** The address of a zero-terminated string; equal strings are stored once, behind the code. */
  text(value: string): Label;
  /** Emits the collected strings. */
  placeTexts(): void;
}

/** Starts a guest's source. */
export function createGuest(a: Assembler, at: Layout, platform: Platform): Guest {
  const texts = new Map<string, Label>();
  return {
    a,
    at,
    platform,
    sub: Object.fromEntries(SUBROUTINES.map((name) => [name, a.label(name)])) as Record<Subroutine, Label>,
    text(value) {
      const known = texts.get(value);
      if (known) return known;
      const label = a.label(JSON.stringify(value));
      texts.set(value, label);
      return label;
    },
    placeTexts() {
      for (const [value, label] of texts) a.bind(label).db(value, 0);
    },
  };
}

/** Prints a constant string. */
export function print({ a, sub, text }: Guest, value: string): void {
  a.lea(rsi, mem(text(value)));
  a.call(sub.puts);
}

/** A quadword of the working area. */
export const qword = (address: number): Mem => mem(address, { size: 8 });

/** A doubleword of the working area. */
export const dword = (address: number): Mem => mem(address, { size: 4 });
