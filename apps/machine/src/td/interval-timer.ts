import { type Clock, I8254, PIT_PORTS, SystemControlPort } from "@vm/devices";
import type { Board } from "../board/board.js";
import * as L from "../layout.js";

/**
 * Puts an 8254 and system control port B on a TD's board, without the rest of an old PC. CPUID does not tell a TD its processor's frequency (leaf 0x16 is #VE, and
 * Linux asks no host about it): Linux measures it with counter 2. Where there is none it finds out by reading the port 100,000 times, each time by way of #VE and
 * TDVMCALL. Source: linux, arch/x86/kernel/tsc.c, quick_pit_calibrate.
 */
export function attachIntervalTimer({ ports, interrupts }: Board, clock: Clock): void {
  const pit = new I8254({ clock, irq: interrupts.line(0) });
  ports.attach(L.PIT, PIT_PORTS, pit);
  ports.attach(L.SYSTEM_CONTROL, 1, new SystemControlPort({ clock, pit }));
}
