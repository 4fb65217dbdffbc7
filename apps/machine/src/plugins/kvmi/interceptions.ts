import { Errno, type Interception, type Status } from "@vm/kvmi";
import type { Disposer } from "../../emitter.js";
import { executeObserver, onBreakpoint } from "./breakpoints.js";
import { onCpuid, onDescriptor, onHypercall, onXsetbv } from "./instructions.js";
import type { Intercepted } from "./intercepted.js";
import type { Quota } from "./quota.js";
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
  readonly #code = new Map<bigint, Disposer>();
  readonly #hooks = new Map<Interception, Disposer>();

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
    if (on) this.#code.set(gva, this.#vcpu.handle.breakpoint(gva, executeObserver(this.#vcpu)));
    else this.#unwatch(gva);
    return 0;
  }

  #unwatch(gva: bigint): void {
    this.#code.get(gva)?.();
    this.#code.delete(gva);
    this.#breakpoints.give();
  }

  /** Ends every {@link watchCode}. */
  unwatchCode(): void {
    for (const gva of [...this.#code.keys()]) this.#unwatch(gva);
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

  #hook(kind: Interception, install: (vcpu: Intercepted) => Disposer): void {
    if (!this.#hooks.has(kind)) this.#hooks.set(kind, install(this.#vcpu));
  }

  #unhook(kind: Interception): void {
    this.#hooks.get(kind)?.();
    this.#hooks.delete(kind);
  }
}

function toggle<T>(set: Set<T>, element: T, on: boolean): void {
  if (on) set.add(element);
  else set.delete(element);
}
