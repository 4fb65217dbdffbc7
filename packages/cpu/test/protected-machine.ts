import type { Assembler } from "@vm/asm";
import { Seg, type Vcpu } from "../src/index.js";
import { CODE, FakeMachine, GDT, HANDLERS, IDT, RSP, rip, TSS } from "./fake-machine.js";

/** Selectors of the GDT: flat code and data of each level by its RPL, and a busy 32-bit TSS at `TSS`. `FREE` and later are unused. */
export const CODE_AT = [0x08, 0x19, 0x2a, 0x3b] as const;
export const DATA_AT = [0x10, 0x21, 0x32, 0x43] as const;
export const TSS_SELECTOR = 0x48;
export const FREE = 0x50;
const GDT_LIMIT = 0x1ff;

/** Tops of the stacks that the TSS holds for levels 0 to 2. */
export const STACK_AT = [0xb000, 0xc000, 0xd000] as const;

export type Level = 0 | 1 | 2 | 3;

/** Attributes, bits 40-55: present flat 32-bit code and data, to be combined with a DPL. */
export const CODE32 = 0xc09b;
export const DATA32 = 0xc093;
export const dplBits = (level: number): number => level << 5;

/** A descriptor of SDM vol. 3, 3.4.5: `limit` as in its 20 bits, `attributes` bits 40-55. */
export function descriptor(base: number, limit: number, attributes: number): bigint {
  const lo = ((base & 0xffff) * 0x10000 + (limit & 0xffff)) >>> 0;
  const hi = (((base & 0xff000000) | ((base >>> 16) & 0xff) | (limit & 0xf0000)) ^ ((attributes & 0xf0ff) << 8)) >>> 0;
  return (BigInt(hi) << 32n) | BigInt(lo);
}

/** A gate of SDM vol. 3, 5.8.3 and 6.11: `attributes` bits 40-47, parameters of a call gate. */
export function gate(selector: number, offset: number, attributes: number, parameters = 0): bigint {
  const lo = ((selector << 16) | (offset & 0xffff)) >>> 0;
  const hi = ((offset & 0xffff0000) | (attributes << 8) | parameters) >>> 0;
  return (BigInt(hi) << 32n) | BigInt(lo);
}

/** Vectors whose handlers find an error code. */
const WITH_ERROR: readonly number[] = [8, 10, 11, 12, 13, 14, 17];

/** A machine in 32-bit protected mode with paging, at `CODE`. Handlers are 32-bit interrupt gates to level 0 that halt. */
export class ProtectedMachine extends FakeMachine {
  constructor(level: Level = 0) {
    super();
    const { vcpu } = this;
    this.ram.fill(0, GDT, GDT + GDT_LIMIT + 1);
    this.ram.fill(0, TSS, TSS + 0x80);
    for (const k of [0, 1, 2, 3] as const) {
      this.describe(CODE_AT[k], descriptor(0, 0xfffff, CODE32 | dplBits(k)));
      this.describe(DATA_AT[k], descriptor(0, 0xfffff, DATA32 | dplBits(k)));
    }
    this.describe(TSS_SELECTOR, descriptor(TSS, 0x67, 0x8b));
    STACK_AT.forEach((sp, k) => {
      this.d32(TSS + 4 + 8 * k, sp);
      this.d32(TSS + 8 + 8 * k, DATA_AT[k] as number);
    });
    // The I/O map lies behind the limit: there is none.
    this.view.setUint16(TSS + 0x66, 0x68, true);
    for (let vector = 0; vector < 256; vector++) {
      this.qword(IDT + 8 * vector, gate(CODE_AT[0], HANDLERS + 16 * vector, 0x8e));
    }
    vcpu.efer = 0;
    vcpu.cr4 = 0;
    vcpu.cr0 = 0x80000033 | 0;
    Object.assign(vcpu.gdtr, { baseLo: GDT, baseHi: 0, limit: GDT_LIMIT });
    Object.assign(vcpu.idtr, { baseLo: IDT, baseHi: 0, limit: 0x7ff });
    vcpu.tr = { selector: TSS_SELECTOR, baseLo: TSS, baseHi: 0, limit: 0x67, attributes: 0x8b };
    vcpu.ldtr = { selector: 0, baseLo: 0, baseHi: 0, limit: 0, attributes: 0 };
    vcpu.updatePaging();
    this.enter(level);
    vcpu.setReg(RSP, 0x8000, 0);
    vcpu.setRip(CODE, 0);
  }

  /** Loads CS, SS and the data segments with flat ones of `level`. */
  enter(level: Level): void {
    const { vcpu } = this;
    const flat = { baseLo: 0, baseHi: 0, limit: 0xffffffff };
    for (const seg of [Seg.ES, Seg.DS, Seg.FS, Seg.GS, Seg.SS])
      vcpu.setSegment(seg, { ...flat, selector: DATA_AT[level], attributes: DATA32 | dplBits(level) });
    vcpu.setSegment(Seg.CS, { ...flat, selector: CODE_AT[level], attributes: CODE32 | dplBits(level) });
  }

  /** Writes the descriptor that `selector` names in the GDT. */
  describe(selector: number, value: bigint): void {
    this.qword(GDT + (selector & 0xfff8), value);
  }

  d32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  /** Assembles 32-bit code at `CODE`. */
  program(write: (a: Assembler) => void): void {
    this.assemble(CODE, write, 32);
  }

  /** Values of `size` bytes from the top of the stack up. */
  top(count: number, size: 2 | 4 = 4): number[] {
    const { vcpu } = this;
    const ss = vcpu.segments[Seg.SS] as Vcpu["tr"];
    const mask = ss.attributes & 0x4000 ? 0xffffffff : 0xffff;
    return Array.from({ length: count }, (_, k) => {
      const at = (ss.baseLo + (((vcpu.regLo(RSP) >>> 0) + k * size) & mask)) >>> 0;
      return size === 4 ? this.view.getUint32(at, true) : this.view.getUint16(at, true);
    });
  }

  /** Runs to the HLT of a handler. @returns its vector and the frame: error code (or null), EIP, CS, EFLAGS, ESP and SS of a lower level */
  fault() {
    this.go();
    const vector = (rip(this.vcpu) - 1 - HANDLERS) / 16;
    const words = this.top(7);
    const error = WITH_ERROR.includes(vector) ? (words.shift() as number) : null;
    const [ip, cs, flags, sp, ss] = words as [number, number, number, number, number];
    return { vector, error, ip, cs: cs & 0xffff, flags, sp, ss: ss & 0xffff };
  }
}

/** Selectors by segment register, and what else a transfer may change, for comparison. */
export function place({ segments, cpl, cr0, flags, tr, ldtr }: Vcpu) {
  const [es, cs, ss, ds, fs, gs] = segments.map(({ selector }) => selector);
  return { es, cs, ss, ds, fs, gs, cpl, cr0, flags, tr: tr.selector, ldtr: ldtr.selector };
}
