import { halvesOf, readMsr, u64, type Vcpu, writeMsr } from "@vm/cpu";
import type { Task } from "@vm/lockdep";
import { ExitFlag, KvmError, Licence, Status } from "@vm/mmu";
import type { ConvertResult, CpuidValues, FaultResult, GuestAccess, QuoteService, TdPlatform } from "@vm/tdx";
import type { Board } from "../board/board.js";
import { Pace } from "../pace.js";
import { SHARED_BIT, type TdRam } from "./ram.js";

const PAGE = 4096;
/** Pages of 2 MiB, to whose end those are mapped that come behind one that the guest needs. */
const RUN = 512;
const LEAF_TOPOLOGY = 0xb;
const WANT = { read: Licence.Read, write: Licence.Write, fetch: Licence.Fetch } as const;

/** Registers of the guest's own among those that KVM answers for: IA32_PAT and IA32_EFER. */
const GUEST_OWN: ReadonlySet<number> = new Set([0x277, 0xc000_0080]);

/** The devices of a machine and its host's memory, as KVM has them for the vCPUs of a TD. */
export class TdBoard implements TdPlatform {
  readonly #board: Board;
  readonly #ram: TdRam;
  readonly #value = { lo: 0, hi: 0 };
  readonly #pace = new Pace();
  /** Absent without a quoting service. */
  readonly getQuote?: (vcpu: number, gpa: number, size: bigint) => bigint;

  constructor(board: Board, ram: TdRam, quotes: QuoteService | null) {
    this.#board = board;
    this.#ram = ram;
    if (quotes !== null) this.getQuote = (_vcpu, gpa, size) => quotes.getQuote(gpa, size);
  }

  #vcpu(index: number): Vcpu {
    return this.#board.vcpus[index] as Vcpu;
  }

  io(vcpu: number, port: number, size: number, write: boolean, value: number): number {
    const { bus } = this.#vcpu(vcpu).ports;
    if (!write) return bus.ioRead(port, size) >>> 0;
    bus.ioWrite(port, size, value);
    return 0;
  }

  mmio(vcpu: number, gpa: number, size: number, write: boolean, value: bigint): bigint {
    const { bus } = this.#vcpu(vcpu).ports;
    if (!write) {
      const lo = bus.mmioRead(gpa, size);
      return u64(lo, size === 8 ? bus.mmioHigh : 0);
    }
    bus.mmioWrite(gpa, size, ...halvesOf(value));
    return 0n;
  }

  rdmsr(vcpu: number, index: number): bigint | null {
    const cpu = this.#vcpu(vcpu);
    if (GUEST_OWN.has(index) || !readMsr(cpu, index, this.#value)) return null;
    return u64(this.#value.lo, this.#value.hi);
  }

  wrmsr(vcpu: number, index: number, value: bigint): boolean {
    return !GUEST_OWN.has(index) && writeMsr(this.#vcpu(vcpu), index, ...halvesOf(value));
  }

  cpuid(vcpu: number, leaf: number, subleaf: number): CpuidValues {
    const { eax, ebx, ecx, edx } = this.#vcpu(vcpu).ports.cpuid.query(leaf, subleaf);
    return [eax >>> 0, ebx >>> 0, ecx >>> 0, leaf === LEAF_TOPOLOGY ? vcpu : edx >>> 0];
  }

  async mapGpaRange(_vcpu: number, gpa: number, size: number, toPrivate: boolean): Promise<ConvertResult> {
    try {
      await this.#ram.convert(gpa, size, toPrivate);
      await this.#pace.breathe();
      return "done";
    } catch (error) {
      if (!(error instanceof KvmError)) throw error;
      return error.code === "EAGAIN" ? "EAGAIN" : "EINVAL";
    }
  }

  faultIn(
    task: Task,
    _vcpu: number,
    gpa: number,
    isPrivate: boolean,
    access: GuestAccess,
  ): FaultResult | Promise<FaultResult> {
    const { mmu } = this.#ram;
    const gfn = (gpa + (isPrivate ? 0 : SHARED_BIT)) / PAGE;
    const status = mmu.tryFaultIn(gfn, WANT[access]);
    const flags = status === Status.Exit ? mmu.translation.errorCode : 0;
    if (status === Status.Ok && isPrivate) this.#faultAround(gfn);
    if ((flags & ExitFlag.Retry) === 0) return resultOf(status, isPrivate);
    return mmu
      .faultIn(task, gfn, WANT[access])
      .then((now) => (now === Status.Exit ? "retry" : resultOf(now, isPrivate)));
  }

  /** A guest that accepts a page accepts those behind it next: they are there then. */
  #faultAround(gfn: number): void {
    const { mmu } = this.#ram;
    const end = gfn - (gfn % RUN) + RUN;
    for (let next = gfn + 1; next < end; next++) if (mmu.tryFaultIn(next, Licence.Write) !== Status.Ok) return;
  }

  hasEvents(vcpu: number): boolean {
    return this.#vcpu(vcpu).ports.apic.hasInterrupt();
  }
}

/** Where no memory is there is no private memory either, and so none of the kind that was meant. */
function resultOf(status: Status, isPrivate: boolean): FaultResult {
  if (status === Status.Ok) return "fixed";
  return status === Status.Mmio && !isPrivate ? "mmio" : "memory-fault";
}
