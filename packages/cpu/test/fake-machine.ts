import { Assembler } from "@vm/asm";
import {
  Access,
  type ApicPort,
  type BusPort,
  CodeCache,
  CpuidTable,
  DEFAULT_CPUID,
  type Exit,
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
} from "../src/index.js";
import * as S from "../src/state.js";
import { engineOf } from "../tools/engine.js";

/** Guest-physical layout of every test. */
export const GDT = 0x1000;
export const IDT = 0x2000;
export const TSS = 0x3000;
/** The handler of vector v starts at HANDLERS + 16 * v: HLT, unless a test puts something else there. */
export const HANDLERS = 0x4000;
export const KERNEL_STACK = 0x8000;
/** Tops of the stacks IST1 and IST2 of the TSS, and of RSP0. */
export const IST1 = 0x9000;
export const IST2 = 0xa000;
export const RSP0 = 0xb000;
export const CODE = 0x10000;
export const DATA = 0x20000;
export const USER_STACK = 0x30000;
/** First byte that is not RAM. */
export const RAM = 0x100000;
/** A page of device memory: reads and writes reach the recording bus. */
export const DEVICE = 0xf0000000;

export const KERNEL_CS = 0x08;
export const KERNEL_SS = 0x10;
export const USER_SS = 0x1b;
export const USER_CS = 0x23;
const TSS_SELECTOR = 0x28;

const CACHE_AT = 0x200000;
const CACHE_END = 0x300000;
const RAM_AT = 0x300000;
const PAGES = (RAM_AT + RAM) / 65536;

/** General registers by hardware number. */
export const RAX = 0;
export const RCX = 1;
export const RDX = 2;
export const RBX = 3;
export const RSP = 4;
export const RSI = 6;
export const RDI = 7;
export const R11 = 11;

let interpreter: WebAssembly.Module | undefined;
const compiled = (): WebAssembly.Module => {
  interpreter ??= new WebAssembly.Module(generateInterpreter());
  return interpreter;
};

/** How a linear page deviates from the identity map. */
export interface Page {
  /** Guest frame behind it; default: its own number. */
  readonly gfn?: number;
  readonly absent?: boolean;
  readonly readOnly?: boolean;
  readonly noExecute?: boolean;
  readonly supervisor?: boolean;
  /** An access of these `Licence` kinds leaves the guest; others are allowed. */
  withheld?: number;
}

/** Identity over RAM, device memory at `DEVICE`, nothing else; single pages can be changed. Without CR0.PG it is only the identity. */
export class FakeMmu implements MmuPort {
  readonly pages = new Map<number, Page>();
  /** Guest frames where there is another frame of RAM than that of their number. */
  readonly frames = new Map<number, number>();
  /** Guest frames where no RAM is. */
  readonly devices = new Set([DEVICE / 4096]);
  readonly #t = { host: 0, gfn: 0, licence: 0, global: false, large: false, errorCode: 0 };
  readonly translation: Translation = this.#t;

  translate({ cr0 }: PagingControls, lo: number, hi: number, access: number): Status {
    const t = this.#t;
    const number = (hi >>> 0) * 0x100000 + (lo >>> 12);
    const page = cr0 < 0 ? this.pages.get(number) : undefined;
    const gfn = page?.gfn ?? number;
    const frame = this.frames.get(gfn) ?? gfn;
    const device = this.devices.has(gfn);
    const user = (access & Access.User) !== 0;
    const kind = access & Access.Write ? Licence.Write : access & Access.Fetch ? Licence.Fetch : Licence.Read;
    t.gfn = gfn;
    t.errorCode = (access & Access.Write ? 2 : 0) | (user ? 4 : 0) | (access & Access.Fetch ? 0x10 : 0);
    if (page?.absent || (frame >= RAM / 4096 && !device)) return Status.Fault;
    if (
      (page?.readOnly && kind === Licence.Write) ||
      (page?.noExecute && kind === Licence.Fetch) ||
      (page?.supervisor && user)
    ) {
      t.errorCode |= 1;
      return Status.Fault;
    }
    if (device) return Status.Mmio;
    const withheld = page?.withheld ?? 0;
    if (withheld & kind) {
      t.errorCode = kind;
      return Status.Exit;
    }
    t.host = RAM_AT + frame * 4096;
    t.licence =
      (Licence.Read | Licence.Write | Licence.Fetch) &
      ~withheld &
      ~(page?.readOnly ? Licence.Write : 0) &
      ~(page?.noExecute ? Licence.Fetch : 0);
    return Status.Ok;
  }
}

/** Writes down every access; reads answer with a number that tells the address. */
export class RecordingBus implements BusPort {
  readonly log: string[] = [];
  mmioHigh = 0;
  onIoWrite: (port: number, value: number) => void = () => undefined;
  onMmioWrite: (gpa: number, value: number) => void = () => undefined;

  ioRead(port: number, size: number): number {
    this.log.push(`in ${port.toString(16)} ${size}`);
    return (0x11111111 * (port & 0xf)) >>> 0;
  }
  ioWrite(port: number, size: number, value: number): void {
    this.log.push(`out ${port.toString(16)} ${size} ${value.toString(16)}`);
    this.onIoWrite(port, value);
  }
  mmioRead(gpa: number, size: number): number {
    this.log.push(`read ${gpa.toString(16)} ${size}`);
    const byte = gpa & 0xff;
    this.mmioHigh = byte * 0x01010101;
    return size === 1 ? byte : size === 2 ? byte * 0x0101 : (byte * 0x01010101) >>> 0;
  }
  mmioWrite(gpa: number, size: number, lo: number, hi: number): void {
    const high = size === 8 ? `${(hi >>> 0).toString(16)}:` : "";
    this.log.push(`write ${gpa.toString(16)} ${size} ${high}${(lo >>> 0).toString(16)}`);
    this.onMmioWrite(gpa, lo);
  }
}

/** A queue of vectors; x2APIC registers are 0x800 to 0x8ff and read as what was written. */
export class FakeApic implements ApicPort {
  readonly waiting: number[] = [];
  readonly msrs = new Map<number, readonly [number, number]>();
  cr8 = 0;
  msrLo = 0;
  msrHi = 0;
  /** How often the TSC was moved. */
  moves = 0;

  readonly tscChanged = (): void => {
    this.moves++;
  };
  hasInterrupt(): boolean {
    return this.waiting.length > 0 && (this.waiting[0] as number) >> 4 > this.cr8;
  }
  acknowledge(): number {
    return this.hasInterrupt() ? (this.waiting.shift() as number) : -1;
  }
  readMsr(msr: number): boolean {
    [this.msrLo, this.msrHi] = this.msrs.get(msr) ?? [0, 0];
    return msr >= 0x800 && msr < 0x900;
  }
  writeMsr(msr: number, lo: number, hi: number): boolean {
    if (msr < 0x800 || msr >= 0x900) return false;
    this.msrs.set(msr, [lo, hi]);
    return true;
  }
}

/** Options of a gate: all default to an interrupt gate to CPL 0 without IST at the vector's place among `HANDLERS`. */
export interface Gate {
  readonly handler?: number;
  readonly ist?: number;
  readonly dpl?: number;
  /** 0xe interrupt gate, 0xf trap gate. */
  readonly type?: number;
  readonly selector?: number;
  readonly present?: boolean;
}

/** The smallest surroundings a vCPU runs in: RAM, a bus that remembers, an APIC that is a queue. All vCPUs start in 64-bit mode at `CODE`, CPL 0. */
export class FakeMachine {
  readonly mmu = new FakeMmu();
  readonly bus = new RecordingBus();
  readonly apics: FakeApic[] = [];
  readonly vcpus: Vcpu[] = [];
  readonly code: CodeCache;
  readonly jit: Jit | null;
  readonly ram: Uint8Array;
  readonly view: DataView;

  /**
   * @param look what the host does when it looks
   * @param jit makes regions; by default everything is interpreted
   */
  constructor({
    cpus = 1,
    cpuid = DEFAULT_CPUID,
    look = (): void => undefined,
    jit = undefined as JitOptions | undefined,
  } = {}) {
    const memory = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES });
    this.ram = new Uint8Array(memory.buffer, RAM_AT, RAM);
    this.view = new DataView(memory.buffer, RAM_AT, RAM);
    this.code = new CodeCache(memory, CACHE_AT, CACHE_END);
    const engine = engineOf(memory, this.code);
    this.jit = jit === undefined ? null : new Jit(memory, this.code, jit);
    for (let id = 0; id < cpus; id++) {
      const apic = new FakeApic();
      const vcpu: Vcpu = new Vcpu({
        id,
        memory,
        base: 0x1000 + id * Math.ceil(Vcpu.bytes / 4096) * 4096,
        code: this.code,
        interpreter: compiled(),
        ...engine,
        bootstrap: true,
        ...(this.jit === null ? {} : { jit: this.jit }),
        ports: {
          mmu: this.mmu,
          bus: this.bus,
          apic,
          clock: { tsc: () => vcpu.retired },
          entropy: { random: () => 0x12345678 },
          cpuid: new CpuidTable(cpuid),
          host: { look },
        },
      });
      this.apics.push(apic);
      this.vcpus.push(vcpu);
    }
    this.#tables();
    for (const vcpu of this.vcpus) this.enterLongMode(vcpu);
  }

  get vcpu(): Vcpu {
    return this.vcpus[0] as Vcpu;
  }
  get apic(): FakeApic {
    return this.apics[0] as FakeApic;
  }

  #tables(): void {
    const code = 0x00af9b000000ffffn;
    const data = 0x00cf93000000ffffn;
    const user = 3n << 45n;
    // Null, kernel code and data, user data and code, TSS (16 bytes), 32-bit code and data for mode changes.
    const tss = 0x67n | (BigInt(TSS) << 16n) | (0x89n << 40n);
    [0n, code, data, data | user, code | user, tss, 0n, 0x00cf9b000000ffffn, data].forEach((d, k) => {
      this.view.setBigUint64(GDT + 8 * k, d, true);
    });
    this.qword(TSS + 4, RSP0);
    // The I/O map lies behind the limit: there is none.
    this.view.setUint16(TSS + 0x66, 0x68, true);
    this.qword(TSS + 0x24, IST1);
    this.qword(TSS + 0x2c, IST2);
    for (let vector = 0; vector < 256; vector++) {
      this.gate(vector);
      this.ram[HANDLERS + 16 * vector] = 0xf4;
    }
  }

  gate(
    vector: number,
    { handler = HANDLERS + 16 * vector, ist = 0, dpl = 0, type = 0xe, selector = KERNEL_CS, present = true }: Gate = {},
  ): void {
    const at = IDT + 16 * vector;
    this.view.setUint32(at, (handler & 0xffff) | (selector << 16), true);
    this.view.setUint32(
      at + 4,
      (handler & 0xffff0000) | (present ? 0x8000 : 0) | (dpl << 13) | (type << 8) | ist,
      true,
    );
    this.view.setUint32(at + 8, 0, true);
  }

  enterLongMode(vcpu: Vcpu): void {
    vcpu.cr0 = 0x80050033 | 0;
    vcpu.cr4 = 0x6a0;
    vcpu.efer = 0xd01;
    Object.assign(vcpu.gdtr, { baseLo: GDT, baseHi: 0, limit: 9 * 8 - 1 });
    Object.assign(vcpu.idtr, { baseLo: IDT, baseHi: 0, limit: 0xfff });
    vcpu.tr = { selector: TSS_SELECTOR, baseLo: TSS, baseHi: 0, limit: 0x67, attributes: 0x8b };
    this.setPrivilege(vcpu, 0);
    vcpu.updatePaging();
    vcpu.setReg(RSP, KERNEL_STACK, 0);
    vcpu.setRip(CODE, 0);
  }

  /** CS and SS of the level, and data segments anyone may have. */
  setPrivilege(vcpu: Vcpu, cpl: 0 | 3): void {
    const flat = { baseLo: 0, baseHi: 0, limit: 0xffffffff };
    const level = cpl << 5;
    for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS])
      vcpu.setSegment(seg, { ...flat, selector: USER_SS, attributes: 0xc0f3 });
    vcpu.setSegment(Seg.SS, { ...flat, selector: cpl === 0 ? KERNEL_SS : USER_SS, attributes: 0xc093 | level });
    vcpu.setSegment(Seg.CS, { ...flat, selector: cpl === 0 ? KERNEL_CS : USER_CS, attributes: 0xa09b | level });
  }

  /** Assembles at guest-physical `at`. @returns the address after the last byte */
  assemble(at: number, write: (a: Assembler) => void, bits: 16 | 32 | 64 = 64): number {
    const a = new Assembler({ org: at, bits });
    write(a);
    const bytes = a.assemble();
    this.write(at, bytes);
    return at + bytes.length;
  }

  /** Writes RAM as a device would: decoded code of the touched pages is dropped. */
  write(at: number, bytes: ArrayLike<number>): void {
    this.ram.set(bytes, at);
    for (let gfn = at >>> 12; gfn <= (at + bytes.length - 1) >>> 12; gfn++) this.code.drop(gfn);
  }

  /** Writes 8 bytes of RAM. */
  qword(at: number, value: number | bigint): void {
    this.view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
  }
  q(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }

  /** Changes a linear page and forgets what TLBs know. */
  map(linear: number, page: Page): void {
    this.mmu.pages.set(Math.floor(linear / 4096), page);
    for (const vcpu of this.vcpus) vcpu.tlb.flush();
  }

  interrupt(vector: number, id = 0): void {
    (this.apics[id] as FakeApic).waiting.push(vector);
    (this.vcpus[id] as Vcpu).interrupt();
  }

  /** Runs until something other than the budget ends it. @throws if nothing does within 100000 instructions */
  go(vcpu = this.vcpu): Exit {
    const exit = vcpu.run(100_000);
    if (exit.reason === "budget") throw new Error(`still running at ${rip(vcpu).toString(16)}`);
    return exit;
  }
}

/** A general register, unsigned. */
export const reg = (vcpu: Vcpu, r: number): bigint =>
  (BigInt(vcpu.regHi(r) >>> 0) << 32n) | BigInt(vcpu.regLo(r) >>> 0);

export function setReg(vcpu: Vcpu, r: number, value: number | bigint): void {
  const v = BigInt.asUintN(64, BigInt(value));
  vcpu.setReg(r, Number(v & 0xffffffffn) | 0, Number(v >> 32n) | 0);
}

/** The linear address of the next instruction. */
export const rip = (vcpu: Vcpu): number => vcpu.i32(S.PC + 4) * 2 ** 32 + (vcpu.i32(S.PC) >>> 0);

/** The frame an event left at the top of the current stack. */
export function frame(m: FakeMachine, errorCode: boolean, vcpu = m.vcpu) {
  const at = Number(reg(vcpu, RSP)) + (errorCode ? 8 : 0);
  const word = (k: number): number => Number(m.q(at + 8 * k));
  return { error: errorCode ? word(-1) : null, ip: word(0), cs: word(1), flags: word(2), sp: word(3), ss: word(4) };
}

/** Everything architectural that the tests compare, as text. */
export function snapshot(vcpu: Vcpu): string {
  const gpr = Buffer.from(vcpu.bytes(S.GPR, 128)).toString("hex");
  const xmm = Buffer.from(vcpu.bytes(S.XMM, 256)).toString("hex");
  const selectors = vcpu.segments.map(({ selector }) => selector).join();
  return `${rip(vcpu).toString(16)} ${vcpu.rflags.toString(16)} ${vcpu.retired} ${selectors} ${vcpu.activity} ${gpr} ${xmm}`;
}
