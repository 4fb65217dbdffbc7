import type { ApicFabric } from "./apic-bus.js";
import type { ApicTimerState, TscPort } from "./apic-timer.js";
import type { InterruptQueueState } from "./interrupt-queue.js";
import type { ExternalInterrupts } from "./pic-pair.js";
import type { Clock } from "./ports.js";

/** The pins of the CPU core that its local APIC drives. */
export interface CpuSignals {
  /** A maskable interrupt became deliverable: `hasInterrupt()` is true. Wakes a halted CPU. */
  interrupt(): void;
  nmi(): void;
  /** INIT: the core resets and waits for a start-up IPI. The APIC has reset itself already. */
  init(): void;
  /** Start-up IPI: a core that waits for one starts in real mode at `vector` << 12. */
  sipi(vector: number): void;
}

export interface LocalApicDesc {
  /** Initial (x2)APIC ID, 32-bit. The xAPIC shows its low 8 bits. */
  readonly id: number;
  /** True on the boot CPU: IA32_APIC_BASE.BSP. */
  readonly bootstrap: boolean;
  readonly bus: ApicFabric;
  readonly clock: Clock;
  readonly tsc: TscPort;
  readonly cpu: CpuSignals;
  /**
   * The 8259A pair on LINT0; call `externalChanged()` when its request rises. It is left as firmware leaves it: LINT0 delivers ExtINT,
   * "virtual wire" (MultiProcessor Specification 1.4, 3.6.2.2).
   */
  readonly external?: ExternalInterrupts;
  /** Whether there is an x2APIC mode (default true); without it its enable bit is reserved. */
  readonly x2apic?: boolean;
  /** MAXPHYADDR (32-52, default 52): address bits above it are reserved in IA32_APIC_BASE. */
  readonly physicalAddressBits?: number;
  /** Called when the xAPIC page appears at a guest-physical address, moves, or goes away (`null`). */
  readonly onRelocate?: (base: number | null) => void;
}

export type LocalApicMode = "disabled" | "xapic" | "x2apic";

export interface LocalApicState {
  readonly xapicId: number;
  readonly baseLo: number;
  readonly baseHi: number;
  readonly ldr: number;
  readonly dfr: number;
  readonly svr: number;
  readonly esr: number;
  readonly errors: number;
  readonly icrLo: number;
  readonly icrHi: number;
  readonly lvt: readonly number[];
  readonly queue: InterruptQueueState;
  readonly timer: ApicTimerState;
}
