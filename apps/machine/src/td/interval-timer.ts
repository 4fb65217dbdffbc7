import { type Clock, I8254, PIT_PORTS, type PortDevice, SystemControlPort } from "@vm/devices";
import type { Board } from "../board/board.js";
import * as L from "../layout.js";

/** Puts an 8254 and system control port B on a TD's board, without the rest of an old PC: for firmware, whose clock it may be. */
export function attachIntervalTimer({ ports, interrupts }: Board, clock: Clock): void {
  const pit = new I8254({ clock, irq: interrupts.line(0) });
  ports.attach(L.PIT, PIT_PORTS, pit);
  ports.attach(L.SYSTEM_CONTROL, 1, new SystemControlPort({ clock, pit }));
}

const ABSENT: PortDevice = { ioRead: () => 0, ioWrite: () => undefined };

/**
 * Makes the ports of an 8254 that is not there read as zero. A TD has the frequency of its time stamp counter from CPUID (leaf 0x15), but not its processor's (leaf 0x16 is
 * #VE, and Linux asks no host about it): Linux looks whether counter 2 tells, and takes the one frequency for the other if not. A counter that reads 0 after it was
 * started from its highest value is none, which one look shows. An open bus reads as a counter that stands still: 100,000 reads, each by way of #VE and TDVMCALL;
 * a counter that counts takes 17,000.
 * Source: linux, arch/x86/kernel/tsc.c, quick_pit_calibrate, determine_cpu_tsc_frequencies.
 */
export function attachNoIntervalTimer({ ports }: Board): void {
  ports.attach(L.PIT, PIT_PORTS, ABSENT);
}
