/** What the host's side needs of the machine. No port calls back, except `fetch`, which may say at once that the frame is there. */
import type { FetchError } from "../errors.js";
import type { GuestWords } from "../words.js";

/** A vCPU, between two instructions. */
export interface ProcessorPort {
  /** Privilege level, 0 to 3. */
  cpl(): number;
  /** An interrupt would be taken now: IF is set, and neither STI nor MOV SS holds it back for one instruction. */
  interruptsAllowed(): boolean;
  /** An exception waits, or an event whose delivery a fault has cut short and which must come again. */
  exceptionPending(): boolean;
  /** CR0.PG. */
  paging(): boolean;
  /** It runs a guest of its own guest's (L2). */
  guestMode(): boolean;
  /** Its registers are hidden from the host: nobody knows its CPL. */
  protectedState(): boolean;
  /**
   * The next thing that happens to it is a #PF with this error code and this value in CR2, as a fault of the instruction that missed; while
   * in {@link guestMode}, an exit to L1 because of it.
   */
  injectPageFault(errorCode: number, cr2: number): void;
}

/** The local APIC of a vCPU. */
export interface LocalApicPort {
  /** By IA32_APIC_BASE and by the spurious-interrupt register. */
  enabled(): boolean;
  /** A fixed, edge-triggered interrupt of this vector (0 to 255). */
  raise(vector: number): void;
}

export interface VcpuPorts {
  readonly processor: ProcessorPort;
  /** null: it has none, and no fault of it is asynchronous. */
  readonly lapic: LocalApicPort | null;
  readonly words: GuestWords;
}

/** Where missing frames come from. */
export interface ResidencyPort {
  /**
   * Brings the frame `gfn`, and whatever comes with it, to the guest's memory; {@link VmAsyncPf.arrived} or {@link VmAsyncPf.failed} says when that has ended. Not
   * called again before. If the frame is there already, that is said too. What it throws is a failure.
   */
  fetch(gfn: number): void;
  /** A frame could not be brought. The vCPUs named are paused until it is. */
  report(error: FetchError): void;
}
