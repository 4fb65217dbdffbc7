import { vcpuHeader } from "../codec/wire.js";
import type { EventName, EventSpec } from "../dialect/dialect.js";
import * as L from "../dialect/layouts.js";
import { passes } from "../filter.js";
import type { Message } from "../framing.js";
import type { Exception, Interception, PageVerdict, Status, VcpuEvents, VcpuPort, Verdict } from "../ports.js";
import type { Gpa } from "../units.js";
import { Action, LOST, pageVerdict, type Reply, readSpecific, replacement, verdict } from "./reply.js";
import type { Session, SessionVcpu } from "./session.js";
import { EVENT_HEAD, writeState } from "./state.js";

/** PAUSEs that may wait; one more is EBUSY. */
export const MAX_PAUSES = 1001;
/** Jobs that may wait; with as many nothing more is read from the tool until they are done. */
export const MAX_JOBS = 256;

type Done = (reply: Reply) => void;

interface Waiting {
  readonly seq: number;
  readonly spec: EventSpec;
  readonly done: Done;
}

/**
 * One vCPU under introspection: its queue of jobs, its pauses, the event it waits for, and which events are wanted.
 *
 * A vCPU that waits for a reply or a pause is held by its port and runs jobs meanwhile. {@link boundary} does everything that is due
 * and releases it when nothing is.
 */
export class HookedVcpu implements VcpuEvents, SessionVcpu {
  readonly #enabled = new Set<EventName>();
  readonly #crs = new Set<number>();
  readonly #msrs = new Set<number>();
  readonly #jobs: (() => void)[] = [];
  #crowded = false;
  #pauses = 0;
  #waiting: Waiting | null = null;
  /** kvm_regs that take effect with the event reply. */
  #delayedRegs: DataView | null = null;
  #exception: Exception | null = null;
  #trapping = false;
  #singlestep = false;

  constructor(
    readonly index: number,
    readonly port: VcpuPort,
    readonly session: Session,
  ) {}

  // Jobs and pauses

  /** Has `job` run at the next boundary. */
  queue(job: () => void): void {
    this.#jobs.push(job);
    this.port.kick();
    this.#tellJobs();
  }

  /** Tells the session when there are too many jobs, and when there are not any more. */
  #tellJobs(): void {
    const crowded = this.#jobs.length >= MAX_JOBS;
    if (crowded === this.#crowded) return;
    this.#crowded = crowded;
    this.session.crowded(crowded);
  }

  pause(): boolean {
    if (this.#pauses >= MAX_PAUSES) return false;
    this.#pauses++;
    return true;
  }

  get waiting(): boolean {
    return this.#waiting !== null;
  }

  boundary(): void {
    for (;;) {
      for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) this.session.carry(job);
      this.#tellJobs();
      if (this.#waiting !== null) return;
      if (this.#pauses > 0) {
        this.#pauses--;
        if (this.#send("pause", {}, () => undefined)) return;
      } else if (this.#exception !== null && !this.#trapping) {
        if (this.#trap(this.#exception)) return;
      } else break;
    }
    this.port.release();
  }

  // What the tool wants

  /** Whether an event is reported: enabled, or of the kind that always is; and allowed. */
  wants(event: EventName): boolean {
    const { index, masks, vmEvents } = this.session;
    const spec = index.eventNamed(event);
    if (spec === undefined || !masks.event(spec.id)) return false;
    return spec.always || (spec.scope === "vm" ? vmEvents : this.#enabled).has(event);
  }

  controlEvent(event: EventName, on: boolean): Status {
    if (this.#enabled.has(event) === on) return 0;
    const status = isInterception(event) ? this.port.intercept(event, on) : 0;
    if (status !== 0) return status;
    if (on) this.#enabled.add(event);
    else this.#enabled.delete(event);
    return 0;
  }

  controlCr(cr: 0 | 3 | 4, on: boolean): void {
    toggle(this.#crs, cr, on);
    this.port.controlCr(cr, on);
  }

  controlMsr(msr: number, on: boolean): void {
    toggle(this.#msrs, msr, on);
    this.port.controlMsr(msr, on);
  }

  controlSinglestep(on: boolean): void {
    this.#singlestep = on;
    this.port.singlestep(on);
  }

  /** Notes an exception to be injected. False: there is one already. */
  injectException(exception: Exception): boolean {
    if (this.#exception !== null) return false;
    this.#exception = exception;
    return true;
  }

  /** Notes registers that take effect with the reply. False: no event is waiting for one. */
  setRegisters(regs: Uint8Array): boolean {
    if (this.#waiting === null) return false;
    const copy = regs.slice();
    this.#delayedRegs = new DataView(copy.buffer);
    return true;
  }

  // Replies

  /** An event reply, as a job. False: it is not valid, and the connection has to end. */
  reply(message: Message): boolean {
    const waiting = this.#waiting;
    const head = vcpuHeader.size + L.eventReply.size;
    if (waiting === null || message.seq !== waiting.seq || message.size < head) return false;
    if (!L.eventReply.clean(message.view, vcpuHeader.size)) return false;
    const { action, event } = L.eventReply.read(message.view, vcpuHeader.size);
    if (this.session.index.dialect.rules.checkReplies && (event !== waiting.spec.id || action > Action.Crash))
      return false;
    const specific = readSpecific(waiting.spec, message.payload.subarray(head, message.size));
    if (specific === null) return false;
    this.#waiting = null;
    this.#applyRegisters();
    if (action === Action.Crash) this.session.crash(this.index);
    waiting.done({ action, specific });
    return true;
  }

  #applyRegisters(): void {
    if (this.#delayedRegs === null) return;
    this.port.loadRegs(this.#delayedRegs, 0);
    this.#delayedRegs = null;
  }

  /**
   * The tool is gone: whatever is open is closed, as if it had never been there.
   * @param kept what was asked for stays in force
   */
  unhook(kept = false): void {
    this.#jobs.length = 0;
    this.#pauses = 0;
    this.#delayedRegs = null;
    const exception = this.#trapping ? null : this.#exception;
    this.#exception = null;
    if (exception !== null && this.port.pendingException() === null) this.port.inject(exception);
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.done(LOST);
    for (const event of [...this.#enabled]) this.controlEvent(event, false);
    for (const cr of [...this.#crs]) this.controlCr(cr as 0 | 3 | 4, false);
    for (const msr of [...this.#msrs]) this.controlMsr(msr, false);
    if (!kept) this.port.unwatchCode();
    if (this.#singlestep) this.controlSinglestep(false);
    this.port.connect(null);
    this.port.release();
  }

  /** Like {@link unhook}, but what was asked for stays in force (VM_CONTROL_CLEANUP). */
  abandon(): void {
    this.#enabled.clear();
    this.#crs.clear();
    this.#msrs.clear();
    this.unhook(true);
  }

  // Events

  /** Sends an event and holds the vCPU until its reply. False: nobody wants it. */
  #send(name: EventName, specific: object, done: Done): boolean {
    if (this.#waiting !== null || !this.wants(name) || !this.#passes(name, specific)) return false;
    const spec = this.session.index.eventNamed(name) as EventSpec;
    const seq = this.session.sendEvent(
      spec,
      specific,
      (view) => {
        writeState(this.port, view, EVENT_HEAD);
      },
      this.index,
    );
    if (seq === null) return false;
    this.port.hold();
    this.#waiting = { seq, spec, done };
    return true;
  }

  #passes(name: EventName, specific: { readonly new_value?: bigint; readonly gva?: bigint }): boolean {
    const { filter, toolFilter } = this.session;
    if (filter === null && toolFilter === null) return true;
    const value = specific.new_value ?? specific.gva ?? null;
    const judged = { name, rip: this.port.rip(), cr3: this.port.cr3(), value };
    return [filter, toolFilter].every((each) => each === null || passes(each, judged));
  }

  /** The exception noted takes effect, or one that came before it; either is told. */
  #trap(injected: Exception): boolean {
    const earlier = this.port.pendingException();
    const { nr, errorCode, address } = earlier ?? injected;
    const take = (): void => {
      this.#trapping = false;
      this.#exception = null;
      if (earlier === null) this.port.inject(injected);
    };
    this.#trapping = true;
    const sent = this.#send("trap", { nr, error_code: errorCode, address }, take);
    if (!sent) take();
    return sent;
  }

  cr(cr: 0 | 3 | 4, old: bigint, value: bigint, done: (value: bigint | null) => void): boolean {
    if (old === value || !this.#crs.has(cr)) return false;
    return this.#send("cr", { cr, old_value: old, new_value: value }, (reply) => done(replacement(reply, value)));
  }

  msr(msr: number, old: bigint, value: bigint, done: (value: bigint | null) => void): boolean {
    if (old === value || !this.#msrs.has(msr)) return false;
    return this.#send("msr", { msr, old_value: old, new_value: value }, (reply) => done(replacement(reply, value)));
  }

  xsetbv(xcr: number, old: bigint, value: bigint, done: (verdict: Verdict) => void): boolean {
    if (old === value) return false;
    return this.#send("xsetbv", { xcr, old_value: old, new_value: value }, () => done("continue"));
  }

  breakpoint(gpa: Gpa, length: number, done: (verdict: Verdict) => void): boolean {
    return this.#send("breakpoint", { gpa: BigInt(gpa), insn_len: length }, (reply) => done(verdict(reply)));
  }

  hypercall(done: (verdict: Verdict) => void): boolean {
    return this.#send("hypercall", {}, () => done("continue"));
  }

  pageFault(gva: bigint | null, gpa: Gpa, access: number, done: (verdict: PageVerdict) => void): boolean {
    const specific = { gva: gva ?? 0xffff_ffff_ffff_ffffn, gpa: BigInt(gpa), access, view: this.port.view };
    return this.#send("pf", specific, (reply) => done(pageVerdict(reply)));
  }

  descriptor(which: number, write: boolean, done: (verdict: Verdict) => void): boolean {
    const specific = { descriptor: which, write: write ? 1 : 0 };
    return this.#send("descriptor", specific, (reply) => done(verdict(reply)));
  }

  cpuid(leaf: number, subleaf: number, length: number, done: (verdict: Verdict) => void): boolean {
    const specific = { function: leaf, index: subleaf, insn_len: length };
    return this.#send("cpuid", specific, (reply) => done(verdict(reply)));
  }

  stepped(failed: boolean): boolean {
    return this.#singlestep && this.#send("singlestep", { failed: failed ? 1 : 0 }, () => undefined);
  }

  created(): boolean {
    return this.#send("createVcpu", {}, () => undefined);
  }
}

const INTERCEPTIONS: ReadonlySet<string> = new Set<Interception>([
  "cr",
  "msr",
  "xsetbv",
  "breakpoint",
  "hypercall",
  "pf",
  "descriptor",
  "cpuid",
]);
const isInterception = (event: EventName): event is Interception => INTERCEPTIONS.has(event);

function toggle<T>(set: Set<T>, element: T, on: boolean): void {
  if (on) set.add(element);
  else set.delete(element);
}
