import type { Vcpu } from "@vm/cpu";
import type { Interception } from "@vm/kvmi";

/** What can leave an instruction undone; `execute`: the tool watches its address. */
export type Reason = Interception | "execute";

/** What to do when the instruction comes again. */
export interface Decision {
  readonly kind: Reason;
  readonly ripLo: number;
  readonly ripHi: number;
  /** CR, MSR: what is written instead; null: #GP. Hypercall: null leaves it to the machine. */
  readonly value?: bigint | null;
}

/**
 * The instruction that a vCPU has left undone because the tool is asked about it.
 *
 * Its hook calls {@link leave}; behind the exit, with registers in place, the event is reported. The verdict becomes a decision that the
 * hook takes when the instruction comes again. It is the next one: interrupts are held off until then.
 */
export class UndoneInstruction {
  readonly #cpu: Vcpu;
  #report: (() => void) | null = null;
  /** The kind of the event that is open. */
  #open: Reason | null = null;
  #decision: Decision | null = null;

  constructor(cpu: Vcpu) {
    this.#cpu = cpu;
  }

  /** Leaves the instruction undone and has `report` called behind the exit. */
  leave(kind: Reason, report: () => void): false {
    this.#open = kind;
    this.#report = report;
    return this.#cpu.leave();
  }

  /** The vCPU has left the guest. */
  left(): void {
    const report = this.#report;
    this.#report = null;
    report?.();
  }

  /** Whether an event of this kind is open, or has been decided and not been carried out. */
  concerns(kind: Reason): boolean {
    return this.#open === kind || this.decided(kind);
  }

  /** Whether an event of this kind has been decided, and the instruction has not come again. */
  decided(kind: Reason): boolean {
    return this.#decision?.kind === kind;
  }

  /** Whether the instruction at RIP has been reported as something else than `kind`. */
  decidedOtherThan(kind: Reason): boolean {
    return this.#decision !== null && this.#decision.kind !== kind && this.#isAtRip(this.#decision);
  }

  /** What an open event is about; false once the tool has set RIP elsewhere. */
  here(): () => boolean {
    const { ripLo, ripHi } = this.#cpu;
    return () => this.#isAtRip({ ripLo, ripHi });
  }

  /** The instruction at RIP goes on; CR, MSR: writes `value`. */
  decide(kind: Reason, value?: bigint | null): void {
    const { ripLo, ripHi } = this.#cpu;
    this.#open = null;
    this.#decision = value === undefined ? { kind, ripLo, ripHi } : { kind, ripLo, ripHi, value };
    this.#cpu.shadow = true;
  }

  /** Whatever comes next comes as if nothing had been reported. */
  forget(): void {
    this.#report = null;
    this.#open = null;
    this.#decision = null;
  }

  /** The decision about the instruction that runs now, if there is one. */
  take(kind: Reason): Decision | null {
    const decision = this.#decision;
    this.#decision = null;
    return decision?.kind === kind && this.#isAtRip(decision) ? decision : null;
  }

  /** Reports an event whose verdict is no more than whether the instruction goes on. */
  ask(kind: Reason, report: (done: (verdict: "continue" | "retry") => void) => boolean | undefined): void {
    const here = this.here();
    const done = (verdict: "continue" | "retry"): void => {
      if (verdict === "continue" && here()) this.decide(kind);
      else this.forget();
    };
    if (report(done) !== true) done("continue");
  }

  /** Reports a write of `own`, whose verdict is the value to be written. */
  askValue(
    kind: "cr" | "msr",
    own: bigint,
    report: (done: (value: bigint | null) => void) => boolean | undefined,
  ): void {
    const here = this.here();
    const done = (value: bigint | null): void => {
      if (here()) this.decide(kind, value);
      else this.forget();
    };
    if (report(done) !== true) done(own);
  }

  #isAtRip({ ripLo, ripHi }: Pick<Decision, "ripLo" | "ripHi">): boolean {
    return ripLo === this.#cpu.ripLo && ripHi === this.#cpu.ripHi;
  }
}
