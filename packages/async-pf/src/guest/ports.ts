import type { GuestWords } from "../words.js";

/** What the guest's side needs of the kernel it is part of. CPUs are numbers; tasks are whatever they are there. */
export interface GuestPorts<Task> {
  readonly words: GuestWords;
  /** Physical address of a CPU's area, 68 bytes aligned to 64 and within a frame. */
  area(cpu: number): number;
  /** Writes a model-specific register, by u32 halves. */
  wrmsr(cpu: number, msr: number, lo: number, hi: number): void;
  /** The interrupt that is being handled has ended, for the local APIC. */
  eoi(cpu: number): void;
  /** A task that sleeps may run, on any CPU. */
  wake(task: Task): void;
  /** An interrupt that makes the CPU look whether its halt is over. */
  reschedule(cpu: number): void;
  /** Memory for one node, without waiting for it; false: there is none now. */
  allocate(): boolean;
}
