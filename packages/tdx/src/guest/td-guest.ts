import { Gpr } from "../module/gpr.js";
import type { GuestCpu } from "../module/guest-cpu.js";
import type { ModuleState } from "../module/module-state.js";
import { Attribute } from "../module/td.js";
import type { TdVcpu } from "../module/td-vcpu.js";
import type { CallRecord } from "../module/trace.js";
import { TDCALL_LEAVES } from "../tables/leaves.js";
import { GuestContext } from "./context.js";
import { writeControlRegister, xsetbv } from "./control-registers.js";
import { cpuid } from "./cpuid.js";
import { type Access, pendingViolation, privateViolation, sharedViolation } from "./ept.js";
import { rdmsr, wrmsr } from "./msr.js";
import type { GuestExit, Outcome } from "./outcome.js";
import type { GuestPorts } from "./ports.js";
import { leafOf, tdcall } from "./tdcall.js";
import { ExitReason, injectVe } from "./ve.js";

/** An IN, OUT, INS or OUTS. */
export interface IoAccess {
  /** 0 to 65535. */
  readonly port: number;
  /** Bytes. */
  readonly size: 1 | 2 | 4;
  readonly isIn: boolean;
  readonly isString?: boolean;
  readonly hasRep?: boolean;
  /** The port is in the instruction, not in DX. */
  readonly isImmediate?: boolean;
}

/** Bits of the exit qualification of an I/O instruction. Source: SDM vol. 3, table "Exit Qualification for I/O Instructions". */
function ioQualification({ port, size, isIn, isString, hasRep, isImmediate }: IoAccess): bigint {
  const flags = (isIn ? 8 : 0) | (isString ? 16 : 0) | (hasRep ? 32 : 0) | (isImmediate ? 64 : 0);
  return BigInt((size - 1) | flags) | (BigInt(port) << 16n);
}

const REGISTERS = 16;
const NMI = 2;

/**
 * The guest side of the TDX module for one vCPU: what the processor asks when a TD does something that is not the guest's alone. Each question has an
 * {@link Outcome} for an answer; after `exit`, {@link takeExit} says how to leave. Nothing that a guest does makes it throw.
 * Source: Intel TDX module 1.5 base specification, "TD Non-Root (Guest Side) Operation".
 */
export class TdGuest {
  readonly #context: GuestContext;
  /** Called after every TDCALL that had a status, and before those that leave the guest, with status 0. */
  onTrace: ((record: CallRecord) => void) | undefined;

  constructor(vcpu: TdVcpu, cpu: GuestCpu, module: ModuleState, ports: GuestPorts) {
    this.#context = new GuestContext(vcpu, cpu, module, ports);
  }

  /** How the guest is left, after an outcome of `exit`; asked once. */
  takeExit(): GuestExit | undefined {
    const { pending } = this.#context;
    this.#context.pending = undefined;
    return pending;
  }

  tdcall(): Outcome {
    if (this.onTrace === undefined) return tdcall(this.#context).outcome;
    const { vcpu, cpu } = this.#context;
    const input = new BigUint64Array(REGISTERS);
    for (let i = 0; i < REGISTERS; i++) input[i] = cpu.gpr.get(i);
    const { outcome, status } = tdcall(this.#context);
    const { leaf, version } = leafOf(input[Gpr.Rax] ?? 0n);
    const name = TDCALL_LEAVES.get(leaf)?.replaceAll("_", ".");
    if (outcome !== "exception")
      this.onTrace({
        kind: "tdcall",
        leaf,
        version,
        name,
        input,
        status: status ?? 0n,
        lp: vcpu.associatedLp,
        tdvpr: vcpu.tdvpr,
      });
    return outcome;
  }

  /** @param leaf EAX @param subleaf ECX; both taken modulo 2^32 */
  cpuid(leaf: number, subleaf: number): Outcome {
    return cpuid(this.#context, leaf, subleaf);
  }

  /** @param index ECX, 0 to 2^32 - 1 */
  rdmsr(index: number): Outcome {
    return rdmsr(this.#context, index);
  }

  /** @param value 64 bits */
  wrmsr(index: number, value: bigint): Outcome {
    return wrmsr(this.#context, index, value);
  }

  io(access: IoAccess): Outcome {
    return injectVe(this.#context, ExitReason.IO_INSTRUCTION, { qualification: ioQualification(access) });
  }

  hlt(): Outcome {
    return injectVe(this.#context, ExitReason.HLT);
  }

  invd(): Outcome {
    return injectVe(this.#context, ExitReason.INVD);
  }

  /** WBINVD and WBNOINVD. */
  wbinvd(): Outcome {
    return injectVe(this.#context, ExitReason.WBINVD);
  }

  vmcall(): Outcome {
    return injectVe(this.#context, ExitReason.VMCALL);
  }

  monitor(): Outcome {
    return injectVe(this.#context, ExitReason.MONITOR);
  }

  mwait(): Outcome {
    return injectVe(this.#context, ExitReason.MWAIT);
  }

  pconfig(): Outcome {
    return injectVe(this.#context, ExitReason.PCONFIG);
  }

  /** A write to a register of the virtual APIC that it does not have itself. @param offset bytes, 0 to 0xff0 */
  apicWrite(offset: number): Outcome {
    return injectVe(this.#context, ExitReason.APIC_WRITE, { qualification: BigInt(offset) });
  }

  /** #GP(0) unless the TD has PERFMON. */
  rdpmc(): Outcome {
    const hasPerfmon = (this.#context.td.attributes & Attribute.PERFMON) !== 0n;
    return hasPerfmon ? "native" : this.#context.generalProtection();
  }

  /** GETSEC, RSM, ENCLS, ENCLV, SEAMCALL and all instructions of VMX but VMCALL: a TD does not have them. */
  undefinedInstruction(): Outcome {
    return this.#context.undefinedOpcode();
  }

  /** ENQCMD without a PASID. */
  enqcmd(): Outcome {
    return this.#context.generalProtection();
  }

  /** @param index ECX @param value EDX and EAX */
  xsetbv(index: number, value: bigint): Outcome {
    return xsetbv(this.#context, index, value);
  }

  /** MOV to CR0 or CR4 (others are native). @param gpr number of the register that `value` is of */
  controlRegister(register: number, value: bigint, gpr = 0): Outcome {
    return writeControlRegister(this.#context, register, value, gpr);
  }

  /** @param gpa with the shared bit @param suppressVe bit 63 of the EPT entry */
  sharedViolation(gpa: number, gla: bigint, access: Access, suppressVe: boolean): Outcome {
    return sharedViolation(this.#context, gpa, gla, access, suppressVe);
  }

  pendingViolation(gpa: number, gla: bigint, access: Access): Outcome {
    return pendingViolation(this.#context, gpa, gla, access);
  }

  /** A private address that is not mapped, or pending: it finds out which. */
  privateViolation(gpa: number, gla: bigint, access: Access): Outcome {
    return privateViolation(this.#context, gpa, gla, access);
  }

  /** Delivers the NMI that the host asked for (TDH.VP.WR PEND_NMI), once the guest has taken its #VE. Call where NMIs are not blocked. @returns whether it was */
  deliverPendingNmi(): boolean {
    const { vcpu, cpu } = this.#context;
    if (!vcpu.pendNmi || vcpu.veInfo.valid) return false;
    vcpu.pendNmi = false;
    cpu.inject(NMI, null);
    return true;
  }
}
