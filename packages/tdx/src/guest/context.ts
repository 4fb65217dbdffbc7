import type { GuestCpu, VmExit } from "../module/guest-cpu.js";
import type { ModuleState } from "../module/module-state.js";
import type { Td } from "../module/td.js";
import type { TdVcpu } from "../module/td-vcpu.js";
import type { GuestExit, Outcome } from "./outcome.js";
import type { GuestPorts } from "./ports.js";

/** Vectors of the exceptions that the module injects. */
export enum Vector {
  UndefinedOpcode = 6,
  DoubleFault = 8,
  GeneralProtection = 13,
  Virtualization = 20,
}

const EFER_LMA = 1n << 10n;

/** A vCPU as its guest side works on it. */
export class GuestContext {
  /** How the guest is to be left, after an outcome of `exit`. */
  pending: GuestExit | undefined;

  constructor(
    readonly vcpu: TdVcpu,
    readonly cpu: GuestCpu,
    readonly module: ModuleState,
    readonly ports: GuestPorts,
  ) {}

  get td(): Td {
    return this.vcpu.td;
  }

  get is64Bit(): boolean {
    return this.cpu.is64Bit ?? (this.cpu.efer & EFER_LMA) !== 0n;
  }

  generalProtection(): Outcome {
    this.cpu.inject(Vector.GeneralProtection, 0);
    return "exception";
  }

  undefinedOpcode(): Outcome {
    this.cpu.inject(Vector.UndefinedOpcode, null);
    return "exception";
  }

  /** Leaves the guest. */
  leave(exit: VmExit, completed = false): Outcome {
    this.pending = { exit, completed };
    return "exit";
  }
}
