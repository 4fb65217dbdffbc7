import { Gpr } from "../../src/module/gpr.js";
import type { GuestCpu, InitialState, VmExit } from "../../src/module/guest-cpu.js";
import type { TdVcpu } from "../../src/module/td-vcpu.js";

/** What a guest does until it leaves. */
export type Step = (cpu: ScriptedCpu) => VmExit;

/** Registers that Linux hands over by a TDVMCALL: RDX, RBX, RSI, RDI, R8 to R15. */
const EXPOSED = 0xfcccn;

/** A processor whose guest follows a script, and is interrupted when that ends. */
export class ScriptedCpu implements GuestCpu {
  readonly regs = new BigUint64Array(16);
  readonly #xmm = new Uint8Array(256);
  readonly cpl = 0;
  readonly cr3 = 0n;
  cr0 = 0n;
  cr4 = 0n;
  efer = 0n;
  rip = 0n;
  readonly instructionLength = 4;
  script: Step[] = [];
  flushes = 0;
  entries = 0;

  constructor(readonly vcpu: TdVcpu) {}

  readonly gpr = {
    get: (index: number): bigint => this.regs[index] as bigint,
    set: (index: number, value: bigint): void => {
      this.regs[index] = value;
    },
  };

  readonly xmm = {
    get: (to: Uint8Array): void => to.set(this.#xmm),
    set: (from: Uint8Array): void => this.#xmm.set(from),
  };

  reset({ gprs, rip, cr0, cr4, efer }: InitialState): void {
    this.regs.set(gprs);
    Object.assign(this, { rip, cr0, cr4, efer });
  }

  inject(vector: number): void {
    throw new Error(`nothing here causes exception ${vector}`);
  }

  flushTlb(): void {
    this.flushes++;
  }

  run(): VmExit {
    this.entries++;
    return this.script.shift()?.(this) ?? { reason: "external-interrupt" };
  }
}

type Registers = Partial<Record<keyof typeof Gpr, bigint>>;

/** TDCALL TDG.VP.VMCALL with these registers, as Linux makes it. */
export function tdvmcall(registers: Registers, mask = EXPOSED): Step {
  return (cpu) => {
    cpu.regs.fill(0n);
    cpu.regs[Gpr.Rcx] = mask;
    for (const [name, value] of Object.entries(registers))
      cpu.regs[Gpr[name as keyof typeof Gpr] as number] = BigInt.asUintN(64, value);
    return { reason: "tdcall" };
  };
}

/** An access to a page that the guest does not have. */
export function touch(gpa: number, access: "read" | "write" | "fetch" = "read"): Step {
  return () => ({ reason: "ept-violation", violation: { gpa, access } });
}
