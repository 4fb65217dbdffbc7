import { halvesOf } from "@vm/cpu";
import { Errno, type Interception, type Status } from "@vm/kvmi";
import type { Disposer } from "../../emitter.js";
import { onBreakpoint, onExecute } from "./breakpoints.js";
import { onCpuid, onDescriptor, onHypercall, onXsetbv } from "./instructions.js";
import type { Intercepted } from "./intercepted.js";
import type { Quota } from "./quota.js";
import type { Reason } from "./undone.js";
import { onControlRegister, onMsr } from "./writes.js";

/** How to look out for each kind. Restricted pages are watched in any case. */
const INTERCEPTORS: Readonly<Record<Exclude<Interception, "pf">, (vcpu: Intercepted) => Disposer>> = {
  breakpoint: onBreakpoint,
  cpuid: onCpuid,
  cr: onControlRegister,
  descriptor: onDescriptor,
  hypercall: onHypercall,
  msr: onMsr,
  xsetbv: onXsetbv,
};

/** What a vCPU looks out for, and its hooks for it. */
export class Interceptions {
  readonly #vcpu: Intercepted;
  readonly #breakpoints: Quota;
  readonly #wanted = new Set<Interception>();
  readonly #crs = new Set<number>();
  readonly #msrs = new Set<number>();
  readonly #code = new Set<bigint>();
  readonly #hooks = new Map<Reason, Disposer>();

  /** @param breakpoints how many addresses may be watched, by this vCPU and others */
  constructor(vcpu: Omit<Intercepted, "crs" | "msrs" | "wants">, breakpoints: Quota) {
    this.#breakpoints = breakpoints;
    this.#vcpu = { ...vcpu, crs: this.#crs, msrs: this.#msrs, wants: (kind) => this.#wants(kind) };
  }

  control(kind: Interception, on: boolean): void {
    if (!on) {
      // An event of that kind may be open: its hook stays for the instruction it is about.
      this.#wanted.delete(kind);
      if (!this.#vcpu.undone.concerns(kind)) this.#unhook(kind);
      return;
    }
    this.#wanted.add(kind);
    if (kind !== "pf") this.#hook(kind, INTERCEPTORS[kind]);
  }

  controlCr(cr: 0 | 3 | 4, on: boolean): void {
    toggle(this.#crs, cr, on);
  }

  controlMsr(msr: number, on: boolean): void {
    toggle(this.#msrs, msr, on);
  }

  watchCode(gva: bigint, on: boolean): Status {
    if (this.#code.has(gva) === on) return 0;
    if (on && !this.#breakpoints.take()) return Errno.ENOMEM;
    if (!on) this.#breakpoints.give();
    toggle(this.#code, gva, on);
    this.#vcpu.handle.cpu.watchCode(...halvesOf(gva), on);
    if (this.#code.size > 0) this.#hook("execute", onExecute);
    else this.#unhook("execute");
    return 0;
  }

  /** Ends every {@link watchCode}. */
  unwatchCode(): void {
    if (this.#code.size === 0) return;
    this.#vcpu.handle.cpu.unwatchCode();
    this.#breakpoints.give(this.#code.size);
    this.#code.clear();
    this.#unhook("execute");
  }

  /** Looks out for nothing any more. */
  reset(): void {
    this.unwatchCode();
    for (const kind of [...this.#hooks.keys()]) this.#unhook(kind);
    this.#wanted.clear();
    this.#crs.clear();
    this.#msrs.clear();
  }

  /** A hook that was left for an open event goes when it is called for nothing. */
  #wants(kind: Interception): boolean {
    if (this.#wanted.has(kind)) return true;
    this.#unhook(kind);
    return false;
  }

  #hook(kind: Reason, install: (vcpu: Intercepted) => Disposer): void {
    if (!this.#hooks.has(kind)) this.#hooks.set(kind, install(this.#vcpu));
  }

  #unhook(kind: Reason): void {
    this.#hooks.get(kind)?.();
    this.#hooks.delete(kind);
  }
}

function toggle<T>(set: Set<T>, element: T, on: boolean): void {
  if (on) set.add(element);
  else set.delete(element);
}
