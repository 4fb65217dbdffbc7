import type { Exit, Vcpu } from "@vm/cpu";
import { Task } from "@vm/lockdep";
import { Licence } from "@vm/mmu";
import type { KvmTdx, TdExit, VcpuTdx } from "@vm/tdx";
import type { MachineExit } from "../exit.js";
import type { Hypervisor } from "../hypervisor.js";
import type { TdGuestCpu } from "./guest-cpu.js";
import { SHARED_BIT } from "./ram.js";

const PAGE = 4096;
/** Exits that one slice deals with: they take the host's time, of which the guest's instructions say nothing. */
const EXITS_PER_SLICE = 256;
const BUDGET: Exit = { reason: "budget" };
const KICKED: Exit = { reason: "kicked" };
const HLT: Exit = { reason: "hlt" };
const SHUTDOWN: Exit = { reason: "shutdown" };
/** The processor waits for what {@link TdHypervisor.waiting} says. */
const WAITS: Exit = { reason: "intercepted" };

interface Entry {
  readonly kvm: VcpuTdx;
  readonly guest: TdGuestCpu;
  readonly task: Task;
  /** What an exit waits for. */
  waiting: Promise<void> | null;
}

/** Runs the vCPUs of a TD by way of KVM and the TDX module. */
export class TdHypervisor implements Hypervisor {
  readonly #entries = new Map<Vcpu, Entry>();
  #kvm: KvmTdx | null = null;
  readonly #end: (exit: MachineExit) => void;

  /** @param end ends the machine */
  constructor(end: (exit: MachineExit) => void) {
    this.#end = end;
  }

  /** The TD is ready: its vCPUs, in the order of the machine's processors. */
  start(kvm: KvmTdx, vcpus: readonly VcpuTdx[], guests: readonly TdGuestCpu[]): void {
    this.#kvm = kvm;
    vcpus.forEach((vcpu, k) => {
      const guest = guests[k] as TdGuestCpu;
      const task = new Task(kvm.host.lockdep, `vcpu${k}`);
      this.#entries.set(guest.cpu, { kvm: vcpu, guest, task, waiting: null });
    });
  }

  enter(vcpu: Vcpu, budget: number, ends: () => boolean): Exit {
    const entry = this.#entries.get(vcpu) as Entry;
    const kvm = this.#kvm as KvmTdx;
    const last = vcpu.retired + budget;
    for (let exits = 0; exits < EXITS_PER_SLICE; exits++) {
      entry.guest.budget = last - vcpu.retired;
      if (entry.guest.budget <= 0) return BUDGET;
      const exit = kvm.run(entry.task, entry.kvm);
      if (exit instanceof Promise) {
        entry.waiting = exit.then((late) => void this.#leave(vcpu, late));
        return WAITS;
      }
      const left = this.#leave(vcpu, exit);
      if (left !== null) return left;
      if (ends()) return KICKED;
    }
    return KICKED;
  }

  waiting(vcpu: Vcpu): Promise<void> | null {
    const entry = this.#entries.get(vcpu);
    const waiting = entry?.waiting ?? null;
    if (entry !== undefined) entry.waiting = null;
    return waiting;
  }

  /** What an exit comes to; null: the guest goes on. */
  #leave(vcpu: Vcpu, exit: TdExit): Exit | null {
    switch (exit.reason) {
      case "handled":
        return null;
      case "busy":
      case "external-interrupt":
      case "nmi":
        return KICKED;
      case "hlt":
        vcpu.halt(!exit.interruptsBlocked);
        return HLT;
      case "shutdown":
        vcpu.activity = "shutdown";
        return SHUTDOWN;
      case "memory-fault":
        this.#end({
          reason: "memory-fault",
          vcpu: vcpu.id,
          gfn: (exit.gpa + (exit.isPrivate ? 0 : SHARED_BIT)) / PAGE,
          access: Licence.Write,
        });
        return KICKED;
      case "tdx-fatal":
        this.#end({ reason: "fatal-error", vcpu: vcpu.id, code: exit.code, message: exit.message });
        return KICKED;
      default:
        this.#end({ reason: "internal-error", vcpu: vcpu.id, error: new TdError(exit) });
        return KICKED;
    }
  }
}

/** The TD cannot go on, by its own fault or that of what runs it. */
export class TdError extends Error {
  override readonly name = "TdError";
  readonly code = "td-dead";

  constructor(readonly exit: Exclude<TdExit, { reason: "handled" }>) {
    super(describe(exit));
  }
}

function describe(exit: Exclude<TdExit, { reason: "handled" }>): string {
  if (exit.reason === "vm-dead") return `the TD is dead: ${exit.message}`;
  if (exit.reason === "internal-error") return `TDH.VP.ENTER has left the TD with 0x${exit.vpEnterRet.toString(16)}`;
  return `the TD has left with ${exit.reason}`;
}
