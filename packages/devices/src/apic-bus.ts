/**
 * Delivery modes as encoded in the ICR, the LVT and redirection entries (SDM 3A 11.6.1; 3 is reserved).
 */
export const DeliveryMode = {
  Fixed: 0,
  LowestPriority: 1,
  Smi: 2,
  Nmi: 4,
  Init: 5,
  StartUp: 6,
  ExtInt: 7,
} as const;

/** A destination that every local APIC matches, in physical and in logical mode (SDM 3A 11.6.2). */
export const BROADCAST = 0xffffffff;

/** One interrupt message on the APIC bus. */
export interface ApicMessage {
  /** Physical APIC ID or logical mask, 32-bit; an 8-bit 0xff is sent as {@link BROADCAST}. */
  readonly destination: number;
  /** True if `destination` is a logical one. */
  readonly logical: boolean;
  /** One of {@link DeliveryMode}; 3 is carried and accepted by nobody. */
  readonly mode: number;
  /** 0-255. For a start-up IPI the page (4 KiB frame number) at which the CPU starts. */
  readonly vector: number;
  /** True if level-triggered: its EOI comes back on the bus. */
  readonly level: boolean;
}

/** A local APIC as the bus sees it. */
export interface ApicTarget {
  /** Whether a message with this destination is for this APIC. */
  matches(destination: number, logical: boolean): boolean;
  /** Whether fixed and lowest-priority interrupts can be accepted now. */
  readonly acceptsFixed: boolean;
  /** The processor priority (PPR, 0-255), by which lowest-priority delivery arbitrates. */
  readonly priority: number;
  /** Takes a message that is for this APIC; false if it is dropped. */
  accept(message: ApicMessage): boolean;
}

/** What hears of EOIs of level-triggered interrupts: the IO-APICs. */
export interface EoiListener {
  /** The interrupt `vector` (0-255) was completed on some CPU. */
  eoi(vector: number): void;
}

/** What a local APIC or IO-APIC needs of the bus. */
export interface ApicFabric {
  /** Delivers to the APICs the destination names; true if at least one accepted. */
  send(message: ApicMessage): boolean;
  /** Delivers to every APIC but `except`, whatever the destination says; true if at least one accepted. */
  broadcast(message: ApicMessage, except: ApicTarget | null): boolean;
  /** Tells every IO-APIC that a level-triggered `vector` was completed. */
  eoi(vector: number): void;
}

/**
 * The interrupt message bus between local APICs and IO-APICs (SDM 3A 11.2).
 *
 * Emulated: physical and logical routing, broadcast, lowest-priority arbitration by PPR (ties go to the APIC attached
 * first, so that a run can be repeated exactly), EOI broadcast.
 * Not emulated: message latency (delivery is immediate), focus processors.
 * The bus has no state of its own.
 */
export class ApicBus implements ApicFabric {
  readonly #targets: ApicTarget[] = [];
  readonly #listeners: EoiListener[] = [];

  /** Adds a local APIC. */
  attach(target: ApicTarget): void {
    this.#targets.push(target);
  }

  /** Adds an IO-APIC. */
  attachIoApic(listener: EoiListener): void {
    this.#listeners.push(listener);
  }

  send(message: ApicMessage): boolean {
    if (message.mode === DeliveryMode.LowestPriority) return this.#sendLowest(message);
    let accepted = false;
    for (const target of this.#targets)
      if (target.matches(message.destination, message.logical)) accepted = target.accept(message) || accepted;
    return accepted;
  }

  broadcast(message: ApicMessage, except: ApicTarget | null): boolean {
    let accepted = false;
    for (const target of this.#targets) if (target !== except) accepted = target.accept(message) || accepted;
    return accepted;
  }

  eoi(vector: number): void {
    for (const listener of this.#listeners) listener.eoi(vector);
  }

  #sendLowest(message: ApicMessage): boolean {
    let best: ApicTarget | null = null;
    for (const target of this.#targets) {
      if (!target.acceptsFixed || !target.matches(message.destination, message.logical)) continue;
      if (best === null || target.priority < best.priority) best = target;
    }
    return best?.accept(message) ?? false;
  }
}
