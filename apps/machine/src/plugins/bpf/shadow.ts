import {
  CodeCache,
  CpuidTable,
  type Gfn,
  generateInterpreter,
  halvesOf,
  type PagingControls,
  Status,
  u64,
  Vcpu,
  type VcpuPorts,
} from "@vm/cpu";
import type { Gpa, Mmu } from "@vm/mmu";
import { registersOf, type VcpuRegisters } from "../../registers.js";

const PAGE = 4096;
/** Pages that it can touch in one go; a tracepoint's code touches five or six. */
const FRAMES = 64;
const CODE_BYTES = 1 << 20;
const WASM_PAGE = 65536;
/** Everything that can be done with a page. */
const ALL = 7;
/** Instructions between a tracepoint's no-op and the call of its probes; 20 in Debian's kernels. */
const STEPS = 200;

/** A copy of a page of the guest. */
interface Frame {
  /** The number by which the shadow's own processor knows it. */
  readonly gfn: Gfn;
  readonly host: number;
  /** Whether it has been compared with the guest's in this run. */
  fresh: boolean;
}

/** What the guest's memory should hold, but does not. */
export interface Pretence {
  readonly address: bigint;
  readonly value: bigint;
}

/**
 * Executes code of the guest without the guest: a processor beside its own ones, with their registers, in copies of the pages that it touches. What the
 * code would do is seen, and nothing of it has happened.
 */
export class Shadow {
  readonly #mmu: Mmu;
  readonly #cpu: Vcpu;
  readonly #registers: VcpuRegisters;
  readonly #code: CodeCache;
  readonly #bytes: Uint8Array;
  readonly #framesStart: number;
  readonly #frames = new Map<number, Frame>();
  readonly #page = new Uint8Array(PAGE);

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
    const base = PAGE;
    const code = Math.ceil((base + Vcpu.bytes) / PAGE) * PAGE;
    this.#framesStart = code + CODE_BYTES;
    const pages = Math.ceil((this.#framesStart + FRAMES * PAGE) / WASM_PAGE);
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#bytes = new Uint8Array(memory.buffer);
    this.#code = new CodeCache(memory, code, this.#framesStart);
    const interpreter = new WebAssembly.Module(generateInterpreter());
    const ports = this.#ports();
    this.#cpu = new Vcpu({ id: 0, memory, base, code: this.#code, interpreter, ports, bootstrap: true });
    this.#registers = registersOf(this.#cpu);
  }

  /**
   * Goes on from `from` as `cpu` would until it comes to one of `until`.
   * @returns the registers then; null if it does not come there
   */
  run(cpu: Vcpu, from: bigint, until: readonly bigint[], pretences: readonly Pretence[]): VcpuRegisters | null {
    const shadow = this.#cpu;
    this.#adopt(cpu);
    for (const frame of this.#frames.values()) frame.fresh = false;
    shadow.tlb.flush();
    for (const { address, value } of pretences) if (!this.#pretend(address, value)) return null;
    this.#registers.rip = from;
    for (let step = 0; step < STEPS; step++) {
      if (shadow.run(1).reason !== "budget") return null;
      shadow.loadRip();
      if (until.includes(this.#registers.rip)) return this.#registers;
    }
    return null;
  }

  #adopt(cpu: Vcpu): void {
    const shadow = this.#cpu;
    shadow.reset();
    for (let r = 0; r < 16; r++) shadow.setReg(r, cpu.regLo(r), cpu.regHi(r));
    Object.assign(shadow, { cr0: cpu.cr0, cr4: cpu.cr4, efer: cpu.efer, rflags: cpu.rflags });
    Object.assign(shadow.paging, cpu.paging);
    for (const [seg, cache] of cpu.segments.entries()) shadow.setSegment(seg, { ...cache });
    shadow.updateMode();
    shadow.updatePaging();
  }

  #pretend(address: bigint, value: bigint): boolean {
    const [lo, hi] = halvesOf(address);
    const frame = this.#frame(this.#cpu.paging, lo, hi);
    if (frame === null || (lo & (PAGE - 1)) > PAGE - 8) return false;
    new DataView(this.#bytes.buffer).setBigUint64(frame.host + (lo & (PAGE - 1)), value, true);
    return true;
  }

  /** The copy of the page at a linear address; null if there is none, or too many have been touched. */
  #frame(controls: PagingControls, lo: number, hi: number): Frame | null {
    const gpa = this.#mmu.locate(controls, lo & ~(PAGE - 1), hi);
    if (gpa === null) return null;
    const gfn = gpa / PAGE;
    let frame = this.#frames.get(gfn);
    if (frame === undefined) {
      if (this.#frames.size === FRAMES) this.#forget();
      if (this.#frames.size === FRAMES) return null;
      const number = this.#frames.size;
      frame = { gfn: number as Gfn, host: this.#framesStart + number * PAGE, fresh: false };
      this.#frames.set(gfn, frame);
    }
    if (!frame.fresh) {
      if (!this.#mmu.read(gpa as Gpa, this.#page)) return null;
      const copy = this.#bytes.subarray(frame.host, frame.host + PAGE);
      if (!same(copy, this.#page)) {
        copy.set(this.#page);
        this.#code.drop(frame.gfn);
      }
      frame.fresh = true;
    }
    return frame;
  }

  /** Starts over with other pages, unless those that there are belong to this run. */
  #forget(): void {
    for (const frame of this.#frames.values()) if (frame.fresh) return;
    this.#frames.clear();
    this.#code.reset();
  }

  #ports(): VcpuPorts {
    const translation = { host: 0, gfn: 0 as Gfn, licence: ALL, global: false, large: false, errorCode: 0 };
    const nothing = { ioRead: () => 0, ioWrite: () => undefined, mmioRead: () => 0, mmioWrite: () => undefined };
    return {
      mmu: {
        translation,
        translate: (controls, lo, hi) => {
          const frame = this.#frame(controls, lo, hi);
          if (frame === null) return Status.Exit;
          translation.host = frame.host;
          translation.gfn = frame.gfn;
          return Status.Ok;
        },
      },
      bus: { ...nothing, mmioHigh: 0 },
      apic: {
        hasInterrupt: () => false,
        acknowledge: () => -1,
        cr8: 0,
        readMsr: () => false,
        writeMsr: () => false,
        msrLo: 0,
        msrHi: 0,
      },
      clock: { tsc: () => 0 },
      entropy: { random: () => 0 },
      cpuid: new CpuidTable(),
    };
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  for (let k = 0; k < PAGE; k++) if (a[k] !== b[k]) return false;
  return true;
}

/** The first six arguments of a function that is about to begin (System V ABI for AMD64). */
export const functionArguments = (cpu: Vcpu): readonly bigint[] =>
  [7, 6, 2, 1, 8, 9].map((register) => u64(cpu.regLo(register), cpu.regHi(register)));
