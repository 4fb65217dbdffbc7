import {
  Access,
  type ApicPort,
  type BusPort,
  CodeCache,
  CpuidTable,
  DEFAULT_CPUID,
  generateInterpreter,
  Jit,
  type JitOptions,
  Licence,
  type MmuPort,
  type PagingControls,
  Seg,
  Status,
  type Translation,
  Vcpu,
} from "../../src/index.js";
import * as S from "../../src/state.js";

const CACHE_AT = 0x200000;
const CACHE_END = 0x400000;
const RAM_AT = 0x400000;
/** Pages of RAM, and of the linear window over it. */
export const RAM_PAGES = 0x20;
const PAGES = (RAM_AT + RAM_PAGES * 4096) / 65536;

/** What is where, by page of the linear window. */
export const GDT = 0x1000;
const IDT = 0x2000;
const TSS = 0x3000;
const HANDLERS = 0x4000;
/** Tops of the stacks of all events, and of NMIs. */
const IST1 = 0x5800;
const IST2 = 0x6000;
export const CODE = 0x10000;
export const CODE_PAGES = 5;
/** Other addresses of the first two pages of code. */
export const ALIAS = 0x15000;
export const STACK = 0x17800;
export const DATA = 0x18000;
export const DATA_PAGES = 4;
/** Absent until a fault handler maps it. */
export const LAZY = 0x1c000;
export const READ_ONLY = 0x1d000;
/** Accesses to it leave, or are asked about. */
export const WATCHED = 0x1e000;
/** Linear address of device memory. */
export const DEVICE = 0x1f000;
const DEVICE_GFN = 0xf0000;

/** Ports that make things happen. */
export const PORT = { interrupt: 0x80, unmap: 0x81, turn: 0x82, step: 0x83, rewrite: 0x84 } as const;
/** Vectors for interrupts, and for INT n of users. */
export const FIRST_INTERRUPT = 0x40;

const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);

interface Place {
  gfn: number;
  absent?: boolean;
  readOnly?: boolean;
  supervisor?: boolean;
  withheld?: number;
}

/** A window of linear pages at a base. */
class Window implements MmuPort {
  readonly places: Place[] = [];
  base = 0n;
  #lo = 0;
  #hi = 0;
  readonly #t = { host: 0, gfn: 0, licence: 0, global: false, large: false, errorCode: 0 };
  readonly translation: Translation = this.#t;

  reset(base: bigint): void {
    this.base = base;
    this.#lo = Number(base & 0xffffffffn);
    this.#hi = Number(BigInt.asIntN(32, base >> 32n));
    for (let k = 0; k < RAM_PAGES; k++) this.places[k] = { gfn: k };
    this.places[0] = { gfn: 0, absent: true };
    for (let k = 1; k < 7; k++) this.places[k] = { gfn: k, supervisor: true };
    // The code is not in order.
    for (let k = 0; k < CODE_PAGES; k++) this.places[CODE / 4096 + k] = { gfn: CODE / 4096 + ((k * 2) % CODE_PAGES) };
    for (let k = 0; k < 2; k++) this.places[ALIAS / 4096 + k] = { gfn: (this.places[CODE / 4096 + k] as Place).gfn };
    this.place(LAZY).absent = true;
    this.place(READ_ONLY).readOnly = true;
    this.place(DEVICE).gfn = DEVICE_GFN;
  }

  place(address: number): Place {
    return this.places[address >> 12] as Place;
  }

  translate(_: PagingControls, lo: number, hi: number, access: number): Status {
    const t = this.#t;
    const kind = access & Access.Write ? Licence.Write : access & Access.Fetch ? Licence.Fetch : Licence.Read;
    const user = (access & Access.User) !== 0;
    t.errorCode = (access & Access.Write ? 2 : 0) | (user ? 4 : 0) | (access & Access.Fetch ? 0x10 : 0);
    const distance = (hi - this.#hi) * 0x100000000 + (lo >>> 0) - this.#lo;
    const place = distance >= 0 ? this.places[Math.floor(distance / 4096)] : undefined;
    if (place === undefined || place.absent === true) return Status.Fault;
    if ((place.readOnly === true && kind === Licence.Write) || (place.supervisor === true && user)) {
      t.errorCode |= 1;
      return Status.Fault;
    }
    t.gfn = place.gfn;
    if (place.gfn === DEVICE_GFN) return Status.Mmio;
    const withheld = place.withheld ?? 0;
    if (withheld & kind) {
      t.errorCode = kind;
      return Status.Exit;
    }
    t.host = RAM_AT + place.gfn * 4096;
    t.licence =
      (Licence.Read | Licence.Write | Licence.Fetch) & ~withheld & ~(place.readOnly === true ? Licence.Write : 0);
    return Status.Ok;
  }
}

class Apic implements ApicPort {
  readonly waiting: number[] = [];
  cr8 = 0;
  msrLo = 0;
  msrHi = 0;
  hasInterrupt(): boolean {
    return this.waiting.length > 0 && (this.waiting[0] as number) >> 4 > this.cr8;
  }
  acknowledge(): number {
    return this.hasInterrupt() ? (this.waiting.shift() as number) : -1;
  }
  readMsr(): boolean {
    return false;
  }
  writeMsr(): boolean {
    return false;
  }
}

/** What a program's surroundings do when it asks or fails. */
export interface Host {
  /** A handler for `vector` has begun. */
  readonly handled: (vector: number) => void;
  readonly out: (port: number, value: number) => void;
}

let interpreter: WebAssembly.Module | undefined;

/** A machine that programs run on one after the other; everything is as it was when the next begins. */
export class EngineMachine implements BusPort {
  readonly mmu = new Window();
  readonly apic = new Apic();
  readonly code: CodeCache;
  readonly jit: Jit | undefined;
  readonly vcpu: Vcpu;
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly log: string[] = [];
  host: Host = { handled: () => undefined, out: () => undefined };
  mmioHigh = 0;
  #before = 0;

  constructor(options?: JitOptions) {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    this.ram = new Uint8Array(memory.buffer, RAM_AT, RAM_PAGES * 4096);
    this.view = new DataView(memory.buffer, RAM_AT, RAM_PAGES * 4096);
    this.code = new CodeCache(memory, CACHE_AT, CACHE_END);
    if (options !== undefined) this.jit = new Jit(memory, this.code, options);
    interpreter ??= new WebAssembly.Module(generateInterpreter());
    const vcpu: Vcpu = new Vcpu({
      id: 0,
      memory,
      base: 0x1000,
      code: this.code,
      interpreter,
      ...(this.jit === undefined ? {} : { jit: this.jit }),
      bootstrap: true,
      ports: {
        mmu: this.mmu,
        bus: this,
        apic: this.apic,
        clock: { tsc: () => this.retired },
        entropy: { random: () => 0x12345678 },
        cpuid: new CpuidTable(DEFAULT_CPUID),
      },
    });
    this.vcpu = vcpu;
  }

  /** Instructions retired since `reset`. */
  get retired(): number {
    return this.vcpu.retired - this.#before;
  }

  /** Power-on: tables, handlers, stacks; RAM is zero besides. */
  reset(base: bigint, cpl: 0 | 3): void {
    const { vcpu, mmu } = this;
    this.ram.fill(0);
    this.code.reset();
    mmu.reset(base);
    this.log.length = 0;
    this.apic.waiting.length = 0;
    this.apic.cr8 = 0;
    this.#tables(base);
    vcpu.hooks = {};
    vcpu.singleStep = false;
    vcpu.unwatchCode();
    vcpu.reset();
    vcpu.dr.fill(0);
    vcpu.debugRegistersChanged();
    vcpu.msrs.clear();
    // A program may have rewritten itself to WRMSR.
    for (const ticks of [vcpu.tscOffset, vcpu.tscAdjust]) Object.assign(ticks, { lo: 0, hi: 0 });
    vcpu.cr0 = 0x80050033 | 0;
    vcpu.cr4 = 0x706a0;
    vcpu.efer = 0xd01;
    vcpu.xcr0 = 3;
    vcpu.setI32(S.MXCSR, 0x1f80);
    const [lo, hi] = halves(base);
    Object.assign(vcpu.gdtr, { baseLo: lo + GDT, baseHi: hi, limit: 9 * 8 - 1 });
    Object.assign(vcpu.idtr, { baseLo: lo + IDT, baseHi: hi, limit: 0xfff });
    vcpu.ldtr = { selector: 0, baseLo: 0, baseHi: 0, limit: 0, attributes: 0 };
    vcpu.tr = { selector: 0x28, baseLo: lo + TSS, baseHi: hi, limit: 0x67, attributes: 0x8b };
    const flat = { baseLo: 0, baseHi: 0, limit: 0xffffffff };
    const level = cpl << 5;
    for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS])
      vcpu.setSegment(seg, { ...flat, selector: 0x1b, attributes: 0xc0f3 });
    // Both segments with a base are used with displacements of the program's.
    vcpu.setSegment(Seg.GS, { ...flat, baseLo: 0x40, selector: 0x1b, attributes: 0xc0f3 });
    vcpu.setSegment(Seg.SS, { ...flat, selector: cpl === 0 ? 0x10 : 0x1b, attributes: 0xc093 | level });
    vcpu.setSegment(Seg.CS, { ...flat, selector: cpl === 0 ? 0x08 : 0x23, attributes: 0xa09b | level });
    vcpu.updatePaging();
    vcpu.updateMode();
    vcpu.tlb.flush();
    this.#before = vcpu.retired;
    vcpu.bytes(S.GPR, 128).fill(0);
    vcpu.bytes(S.XMM, 256).fill(0);
  }

  /** Goes on where `other` is, with what its vCPU's state is as a file, and nothing else of that vCPU. What the host has asked of it is not done yet. */
  continueFrom(other: EngineMachine): void {
    this.reset(other.mmu.base, 0);
    this.ram.set(other.ram);
    this.mmu.places.splice(0, Infinity, ...other.mmu.places.map((place) => ({ ...place })));
    this.apic.waiting.push(...other.apic.waiting);
    this.apic.cr8 = other.apic.cr8;
    this.log.push(...other.log);
    this.mmioHigh = other.mmioHigh;
    this.host = other.host;
    this.vcpu.restore(structuredClone(other.vcpu.save()));
    this.#before = other.#before;
  }

  #tables(base: bigint): void {
    const { view } = this;
    const code = 0x00af9b000000ffffn;
    const data = 0x00cf93000000ffffn;
    const user = 3n << 45n;
    const tss = 0x67n | (((base + BigInt(TSS)) & 0xffffffn) << 16n) | (0x89n << 40n);
    [0n, code, data, data | user, code | user, tss, base >> 32n, 0x00cf9b000000ffffn, data].forEach((d, k) => {
      view.setBigUint64(GDT + 8 * k, BigInt.asUintN(64, d), true);
    });
    for (const [at, stack] of [
      [4, IST1],
      [0x24, IST1],
      [0x2c, IST2],
    ] as const)
      view.setBigUint64(TSS + at, BigInt.asUintN(64, base + BigInt(stack)), true);
    view.setUint16(TSS + 0x66, 0x68, true);
    for (let vector = 0; vector < 256; vector++) {
      const handler = BigInt.asUintN(64, base + BigInt(HANDLERS + 16 * vector));
      const dpl = vector === 3 || vector === 4 || vector >= FIRST_INTERRUPT ? 3 : 0;
      const at = IDT + 16 * vector;
      view.setUint32(at, Number(handler & 0xffffn) | (0x08 << 16), true);
      view.setUint32(at + 4, Number(handler & 0xffff0000n) | 0x8e00 | (dpl << 13) | (vector === 2 ? 2 : 1), true);
      view.setBigUint64(at + 8, handler >> 32n, true);
      const bytes = [0xe6, vector, ...(WITH_ERROR.has(vector) ? [0x48, 0x83, 0xc4, 8] : []), 0x48, 0xcf];
      this.ram.set(bytes, HANDLERS + 16 * vector);
    }
  }

  /** The frame that the event of `vector` left, as an offset in RAM. */
  frame(vector: number): number {
    return (vector === 2 ? IST2 : IST1) - 40;
  }

  /** Writes guest memory as a device would, by page and offset in the linear window. */
  write(address: number, bytes: ArrayLike<number>): void {
    for (let k = 0; k < bytes.length; k++) {
      const at = address + k;
      const { gfn } = this.mmu.place(at);
      this.ram[gfn * 4096 + (at & 0xfff)] = bytes[k] as number;
      this.code.drop(gfn);
    }
  }

  /** Changes a page of the window. The running slice ends: branches within a page do not ask where it is mapped. */
  map(address: number, change: Partial<Place>): void {
    Object.assign(this.mmu.place(address), change);
    this.vcpu.tlb.flush();
    this.vcpu.endSlice();
  }

  interrupt(vector: number): void {
    this.apic.waiting.push(vector);
    this.vcpu.interrupt();
  }

  // Devices

  ioRead(port: number, size: number): number {
    this.log.push(`in ${port} ${size}`);
    return (0x11111111 * (port & 0xf)) >>> 0;
  }
  ioWrite(port: number, size: number, value: number): void {
    this.log.push(`out ${port} ${size} ${value}`);
    const { vcpu } = this;
    const from = Number(BigInt.asIntN(64, u64(vcpu.i32(S.PC), vcpu.i32(S.PC + 4)) - this.mmu.base));
    const vector = (from - HANDLERS) >> 4;
    if (from >= HANDLERS && from < HANDLERS + 4096 && vector === port) this.host.handled(vector);
    else this.host.out(port, value);
  }
  mmioRead(gpa: number, size: number): number {
    this.log.push(`read ${gpa.toString(16)} ${size}`);
    const byte = gpa & 0xff;
    this.mmioHigh = byte * 0x01010101;
    return size === 1 ? byte : size === 2 ? byte * 0x0101 : (byte * 0x01010101) >>> 0;
  }
  mmioWrite(gpa: number, size: number, lo: number, hi: number): void {
    this.log.push(`write ${gpa.toString(16)} ${size} ${size === 8 ? hi >>> 0 : 0}:${lo >>> 0}`);
  }
}

const u64 = (lo: number, hi: number): bigint => (BigInt(hi >>> 0) << 32n) | BigInt(lo >>> 0);

export function halves(value: bigint): [number, number] {
  const v = BigInt.asUintN(64, value);
  return [Number(v & 0xffffffffn) | 0, Number(v >> 32n) | 0];
}
