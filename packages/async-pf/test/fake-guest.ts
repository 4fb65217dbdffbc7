import {
  ApfArea,
  type FaultOutcome,
  GuestAsyncPf,
  type GuestAsyncPfDesc,
  type GuestPorts,
  type PageFault,
} from "../src/index.js";
import { ALL_FEATURES, FakeWords } from "./fakes.js";

/** A guest whose host is the test; tasks are names. What its ports were asked for is in `calls`. */
export class FakeGuest implements GuestPorts<string> {
  readonly words = new FakeWords();
  readonly calls: string[] = [];
  readonly guest: GuestAsyncPf<string>;
  /** Nodes that memory is there for. */
  memory = Number.POSITIVE_INFINITY;

  constructor({ era = "after", features = ALL_FEATURES, ...desc }: Partial<GuestAsyncPfDesc<string>> = {}) {
    this.guest = new GuestAsyncPf({ era, features, ports: this, ...desc });
  }

  area(cpu: number): number {
    return 0x2000 + cpu * 0x80;
  }

  wrmsr(cpu: number, msr: number, lo: number, hi: number): void {
    this.calls.push(`wrmsr ${cpu} ${msr.toString(16)} ${hi.toString(16)}:${lo.toString(16)}`);
  }

  eoi(cpu: number): void {
    this.calls.push(`eoi ${cpu}`);
  }

  wake(task: string): void {
    this.calls.push(`wake ${task}`);
  }

  reschedule(cpu: number): void {
    this.calls.push(`reschedule ${cpu}`);
  }

  allocate(): boolean {
    return this.memory-- > 0;
  }

  /** The calls since the last time. */
  taken(): string[] {
    return this.calls.splice(0);
  }

  word(cpu: number, at: ApfArea): number | false {
    return this.words.read(this.area(cpu) + at);
  }

  /** A CPU that is up; what that took is not in `calls`. */
  online(...cpus: number[]): this {
    for (const cpu of cpus) this.guest.online(cpu);
    this.calls.length = 0;
    return this;
  }

  /** A #PF in user mode, for the host's sake if `flags` is not 0. */
  fault(cpu: number, cr2: number, fault: Partial<PageFault<string>> = {}, flags = 1): FaultOutcome<string> {
    this.words.write(this.area(cpu) + ApfArea.Flags, flags);
    const usual = { userMode: true, interruptsEnabled: true, preemptCount: 0, task: `task ${cr2.toString(16)}` };
    return this.guest.pageFault(cpu, { cr2, ...usual, ...fault });
  }

  /** The interrupt with a token in the area. */
  ready(cpu: number, token: number) {
    this.words.write(this.area(cpu) + ApfArea.Token, token);
    return this.guest.interrupt(cpu);
  }
}
