import {
  ApicBus,
  type ApicMessage,
  type Clock,
  type CpuSignals,
  type GuestMemory,
  type IrqLine,
  LocalApic,
  type LocalApicDesc,
  type Timer,
  type Turns,
} from "../src/index.js";

/** A clock that stands still until told: `advance` runs what falls due, in order. */
export class FakeClock implements Clock {
  private time = 0;
  private entries: { at: number; fn: () => void }[] = [];

  now(): number {
    return this.time;
  }

  schedule(at: number, fn: () => void): Timer {
    const entry = { at, fn };
    this.entries.push(entry);
    return { cancel: () => this.remove(entry) };
  }

  /** Goes to `ns`, stopping at everything that is scheduled on the way. */
  advanceTo(ns: number): void {
    for (;;) {
      const due = this.entries.filter((entry) => entry.at <= ns).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.remove(due);
      this.time = Math.max(this.time, due.at);
      due.fn();
    }
    this.time = ns;
  }

  /** Goes to `ns` in the middle of a guest's slice: what falls due waits for the host. */
  passTo(ns: number): void {
    this.time = ns;
  }

  /** Jumps to `ns` as a host that slept would: what fell due runs late. */
  jumpTo(ns: number): void {
    this.time = ns;
    for (const due of this.entries.filter((entry) => entry.at <= ns)) {
      this.remove(due);
      due.fn();
    }
  }

  get scheduled(): number {
    return this.entries.length;
  }

  private remove(entry: { at: number; fn: () => void }): void {
    this.entries = this.entries.filter((other) => other !== entry);
  }
}

/** A wire that remembers its level and counts its rising edges. */
export class FakeLine implements IrqLine {
  level = false;
  edges = 0;

  set(level: boolean): void {
    if (level && !this.level) this.edges++;
    this.level = level;
  }
}

/** RAM from address 0. */
export class FakeMemory implements GuestMemory {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(size: number) {
    this.bytes = new Uint8Array(size);
    this.view = new DataView(this.bytes.buffer);
  }

  read(gpa: number, dst: Uint8Array): boolean {
    if (gpa + dst.length > this.bytes.length) return false;
    dst.set(this.bytes.subarray(gpa, gpa + dst.length));
    return true;
  }

  write(gpa: number, src: Uint8Array): boolean {
    if (gpa + src.length > this.bytes.length) return false;
    this.bytes.set(src, gpa);
    return true;
  }
}

/** Turns that come when the test says so. */
export class FakeTurns implements Turns {
  private waiting: (() => void)[] = [];
  /** What is under way outside. */
  begun = 0;

  later(fn: () => void): void {
    this.waiting.push(fn);
  }

  begin(): () => void {
    this.begun++;
    return () => this.begun--;
  }

  /** How many calls wait. */
  get pending(): number {
    return this.waiting.length;
  }

  /** One turn: what waits now is called. */
  turn(): void {
    for (const fn of this.waiting.splice(0)) fn();
  }

  /** Turns until nothing waits; returns how many. @throws if there is no end to it */
  run(): number {
    for (let turns = 0; ; turns++) {
      if (this.waiting.length === 0) return turns;
      if (turns === 10_000) throw new Error("the device works without end");
      this.turn();
    }
  }
}

/** A CPU that writes down what its APIC signals. */
export class FakeCpu implements CpuSignals {
  readonly log: string[] = [];

  interrupt(): void {
    this.log.push("interrupt");
  }
  nmi(): void {
    this.log.push("nmi");
  }
  init(): void {
    this.log.push("init");
  }
  sipi(vector: number): void {
    this.log.push(`sipi ${vector}`);
  }
}

/** Some CPUs on a bus, each with a software-enabled APIC (SVR = 0x1ff), and an IO-APIC stand-in that hears EOIs. */
export class FakeSystem {
  readonly clock = new FakeClock();
  readonly bus = new ApicBus();
  readonly cpus: FakeCpu[] = [];
  readonly apics: LocalApic[] = [];
  readonly eois: number[] = [];
  /** TSC ticks the guest's TSC is ahead of virtual ns. */
  tscOffset = 0;

  constructor(ids: readonly number[], extra: Partial<LocalApicDesc> = {}) {
    this.bus.attachIoApic({ eoi: (vector) => this.eois.push(vector) });
    ids.forEach((id, i) => {
      const cpu = new FakeCpu();
      const tsc = { tscToNs: (ticks: number) => ticks - this.tscOffset };
      const { bus, clock } = this;
      const apic = new LocalApic({ id, bootstrap: i === 0, bus, clock, tsc, cpu, ...extra });
      this.bus.attach(apic);
      this.cpus.push(cpu);
      this.apics.push(apic);
      apic.mmioWrite(0xf0, 4, 0x1ff);
    });
  }

  apic(index: number): LocalApic {
    const apic = this.apics[index];
    if (!apic) throw new RangeError(`no CPU ${index}`);
    return apic;
  }

  /** Puts every APIC into x2APIC mode. */
  x2apic(): this {
    for (const apic of this.apics)
      if (!apic.writeMsr(0x1b, apic.readMsr(0x1b) | 0x400, 0)) throw new Error("no x2APIC");
    return this;
  }

  send(message: Partial<ApicMessage>): boolean {
    return this.bus.send({ destination: 0, logical: false, mode: 0, vector: 0x40, level: false, ...message });
  }

  /** Which CPUs have a deliverable interrupt. */
  pending(): boolean[] {
    return this.apics.map((apic) => apic.hasInterrupt());
  }
}
