import { type CpuidPort, type CpuidResult, type CpuidTable, isModelMsr } from "@vm/cpu";
import type { Gpa } from "@vm/mmu";
import type { Disposer } from "../emitter.js";
import { MachineError } from "../error.js";
import type { VcpuHandle } from "../vcpu-handle.js";

/** A model-specific register that is not the processor's own. Values are unsigned. */
export interface MsrProvider {
  /** What RDMSR gives; null: #GP. */
  read(vcpu: VcpuHandle): bigint | null;
  /** WRMSR. False: #GP. */
  write(vcpu: VcpuHandle, value: bigint): boolean;
  /**
   * Guest memory that a write of `value` reaches. If some of it has yet to arrive, the processor stands behind its WRMSR until it is here, and {@link write} is called then:
   * too late for a #GP, so that the answer for a value that is refused is null. Default: it reaches none.
   */
  reaches?(vcpu: VcpuHandle, value: bigint): MemoryRange | null;
}

/** A part of guest memory. */
export interface MemoryRange {
  /** Guest-physical address, bytes. */
  readonly gpa: Gpa;
  /** Bytes. */
  readonly size: number;
}

/** What CPUID gives for a leaf. */
export type CpuidProvider = (subleaf: number, vcpu: VcpuHandle) => CpuidResult;

/** Answers a hypercall with what RAX is to be; arguments are in RBX, RCX, RDX and RSI. Called at CPL 0 only. */
export type HypercallProvider = (vcpu: VcpuHandle) => bigint;

/** What plugins add to the processors of a machine. Each call returns the function that takes it back. */
export interface Additions {
  /** @throws {MachineError} `taken` for an MSR that the processor, its APIC or a plugin has */
  msr(number: number, provider: MsrProvider): Disposer;
  /**
   * A leaf of CPUID; the highest leaf of its range (0, 40000000H, 80000000H) is raised to it.
   * @throws {MachineError} `taken` for a leaf that the processor or a plugin has
   */
  cpuid(leaf: number, provider: CpuidProvider): Disposer;
  /** Bits to be set in what a leaf, whoever has it, gives. */
  cpuidBits(leaf: number, bits: Partial<CpuidResult>, subleaf?: number): Disposer;
  /** A hypercall by the number in RAX. @throws {MachineError} `taken` for one that the machine or a plugin answers */
  hypercall(number: number, provider: HypercallProvider): Disposer;
}

const hex = (number: number): string => `0x${(number >>> 0).toString(16)}`;

interface Bits {
  readonly leaf: number;
  readonly subleaf: number;
  readonly bits: Partial<CpuidResult>;
}

/** Whose MSRs and hypercalls the machine itself has. */
export interface BoardOwn {
  readonly cpuid: CpuidTable;
  readonly ownsMsr: (msr: number) => boolean;
  readonly ownsHypercall: (number: number) => boolean;
}

/** What plugins have added, and the asking of it. */
export class AdditionsTable implements Additions {
  readonly #own: BoardOwn;
  readonly #msrs = new Map<number, MsrProvider>();
  readonly #leaves = new Map<number, CpuidProvider>();
  readonly #bits = new Set<Bits>();
  readonly #hypercalls = new Map<number, HypercallProvider>();

  constructor(own: BoardOwn) {
    this.#own = own;
  }

  msr(number: number, provider: MsrProvider): Disposer {
    return add(this.#msrs, number, provider, `MSR ${hex(number)}`, isModelMsr(number) || this.#own.ownsMsr(number));
  }

  cpuid(leaf: number, provider: CpuidProvider): Disposer {
    return add(this.#leaves, leaf, provider, `CPUID leaf ${hex(leaf)}`, this.#own.cpuid.has(leaf));
  }

  cpuidBits(leaf: number, bits: Partial<CpuidResult>, subleaf = 0): Disposer {
    const own = { leaf: leaf >>> 0, subleaf, bits };
    this.#bits.add(own);
    return () => void this.#bits.delete(own);
  }

  hypercall(number: number, provider: HypercallProvider): Disposer {
    return add(this.#hypercalls, number, provider, `hypercall ${number}`, this.#own.ownsHypercall(number));
  }

  /** The provider of an MSR. */
  msrProvider(number: number): MsrProvider | undefined {
    return this.#msrs.get(number >>> 0);
  }

  /** The provider of a hypercall. */
  hypercallProvider(number: number): HypercallProvider | undefined {
    return this.#hypercalls.get(number >>> 0);
  }

  /** CPUID as `vcpu` has it: `base` and what was added. */
  port(base: CpuidPort, vcpu: () => VcpuHandle): CpuidPort {
    return {
      query: (leaf, subleaf) => {
        // Instructions that depend on a feature ask as well, XSAVE above all.
        if (this.#leaves.size === 0 && this.#bits.size === 0) return base.query(leaf, subleaf);
        const provider = this.#leaves.get(leaf >>> 0);
        let answer = provider === undefined ? base.query(leaf, subleaf) : provider(subleaf, vcpu());
        if (isFirst(leaf)) answer = { ...answer, eax: this.#highest(leaf, answer.eax) };
        for (const own of this.#bits)
          if (own.leaf === leaf >>> 0 && own.subleaf === subleaf) answer = withBits(answer, own.bits);
        return answer;
      },
    };
  }

  #highest(first: number, known: number): number {
    let highest = known >>> 0;
    for (const leaf of this.#leaves.keys()) if (rangeOf(leaf) === rangeOf(first)) highest = Math.max(highest, leaf);
    return highest | 0;
  }
}

const rangeOf = (leaf: number): number => leaf >>> 28;
const isFirst = (leaf: number): boolean => (leaf & 0xfffffff) === 0;

function withBits({ eax, ebx, ecx, edx }: CpuidResult, bits: Partial<CpuidResult>): CpuidResult {
  return {
    eax: eax | (bits.eax ?? 0),
    ebx: ebx | (bits.ebx ?? 0),
    ecx: ecx | (bits.ecx ?? 0),
    edx: edx | (bits.edx ?? 0),
  };
}

function add<T>(table: Map<number, T>, number: number, provider: T, what: string, owned: boolean): Disposer {
  const key = number >>> 0;
  if (owned || table.has(key)) throw new MachineError("taken", `${what} is there already`);
  table.set(key, provider);
  return () => void (table.get(key) === provider && table.delete(key));
}
