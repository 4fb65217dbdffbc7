import { cr0, cr3, cr4, eax, ebx, ecx, edx, mem, rax } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { readMsr, Seg } from "../src/index.js";
import { CODE, FakeMachine, GDT, RAX, RBX, RCX, RDX, reg, rip, setReg } from "./fake-machine.js";

/** What a TD's processors start with (Intel TDX module ABI specification, initial state of VCPUs): everything is set from outside. */
const RESET = 0xfffffff0;
/** The last page below 4 GiB has this frame of RAM. */
const FRAME = 0x60000;
const EFER = 0x901;
const FMASK = 0x20200;

function tdVcpu(): FakeMachine {
  const m = new FakeMachine();
  const { vcpu } = m;
  vcpu.reset();
  const flat = { selector: 0, baseLo: 0, baseHi: 0, limit: 0xffffffff };
  vcpu.cr0 = 0x21;
  // VMXE, which is on while a TD runs, is hidden from it.
  vcpu.cr4 = 0x40;
  vcpu.efer = EFER;
  vcpu.setMsr(0xc0000084, FMASK, 0);
  vcpu.ldtr = { ...flat, limit: 0, attributes: 0 };
  vcpu.tr = { ...flat, limit: 0xffff, attributes: 0x8b };
  for (const seg of [Seg.ES, Seg.SS, Seg.DS, Seg.FS, Seg.GS]) vcpu.setSegment(seg, { ...flat, attributes: 0xc093 });
  vcpu.setSegment(Seg.CS, { ...flat, attributes: 0xc09b });
  [48, 0x5000, 0x806f8, 48].forEach((value, k) => {
    setReg(vcpu, [RBX, RCX, RDX, RAX][k] as number, k === 3 ? 0 : value);
  });
  vcpu.updatePaging();
  vcpu.updateMode();
  vcpu.debugRegistersChanged();
  vcpu.setRip(RESET | 0, 0);
  return m;
}

describe("a processor of a TD", () => {
  test("starts in 32-bit protected mode without paging, at the reset vector", () => {
    const m = tdVcpu();
    expect([m.vcpu.mode, m.vcpu.cpl, rip(m.vcpu), m.vcpu.rflags]).toEqual([32, 0, RESET, 2]);
    expect([reg(m.vcpu, RBX), reg(m.vcpu, RCX), reg(m.vcpu, RDX)]).toEqual([48n, 0x5000n, 0x806f8n]);
    const value = { lo: 0, hi: 0 };
    for (const [msr, lo, hi] of [
      [0xc0000080, EFER, 0],
      [0xc0000084, FMASK, 0],
      [0x277, 0x00070406, 0x00070406],
    ] as const) {
      expect(readMsr(m.vcpu, msr, value)).toBe(true);
      expect([value.lo, value.hi]).toEqual([lo, hi]);
    }
    expect([m.vcpu.dr[14], m.vcpu.xcr0]).toEqual([0x400, 1]);
  });

  test("enters long mode with the LME that is set already", () => {
    const m = tdVcpu();
    m.mmu.frames.set(0xfffff, FRAME / 4096);
    m.assemble(CODE, (a) => a.mov(rax, cr4).mov(ebx, eax).mov(rax, 0x1122334455667788n).hlt());
    // JMP rel32 to 32-bit code in RAM.
    const start = 0x11000;
    m.write(FRAME + 0xff0, [0xe9]);
    m.view.setInt32(FRAME + 0xff1, (start - (RESET + 5)) | 0, true);
    m.write(0x12000, [0x2f, 0, GDT & 0xff, GDT >> 8, 0, 0]);
    m.assemble(
      start,
      (a) =>
        a
          .lgdt(mem(0x12000))
          .mov(eax, cr4)
          .mov(ecx, eax)
          .or(eax, 0x20)
          .mov(cr4, eax)
          .mov(eax, 0x5000)
          .mov(cr3, eax)
          .mov(eax, cr0)
          .or(eax, 0x80000000 | 0)
          .mov(cr0, eax)
          .mov(edx, 7)
          .emit([0xea, CODE & 0xff, (CODE >> 8) & 0xff, CODE >> 16, 0, 0x08, 0]),
      32,
    );
    expect(m.go().reason).toBe("hlt");
    expect([m.vcpu.mode, m.vcpu.efer]).toEqual([64, EFER | 0x400]);
    expect([reg(m.vcpu, RCX), reg(m.vcpu, RBX), reg(m.vcpu, RAX)]).toEqual([0x40n, 0x60n, 0x1122334455667788n]);
  });

  test("keeps CR4.MCE, which its CPUID does not offer, for as long as it does not clear it", () => {
    const m = tdVcpu();
    m.assemble(
      CODE,
      (a) => a.mov(eax, 0x50).mov(cr4, eax).mov(eax, 0x10).mov(cr4, eax).mov(eax, 0x50).mov(cr4, eax),
      32,
    );
    m.vcpu.setRip(CODE, 0);
    const values: number[] = [];
    m.vcpu.hooks = {
      controlRegister: () => void values.push(m.vcpu.cr4),
      inject: (vector) => {
        values.push(m.vcpu.cr4, vector);
        return m.vcpu.leave();
      },
    };
    m.go();
    expect(values).toEqual([0x40, 0x50, 0x10, 0x10, 13]);
  });

  test("cannot set CR4.VMXE, and is asked about by the observer before", () => {
    const m = tdVcpu();
    m.assemble(CODE, (a) => a.mov(eax, 0x2040).mov(cr4, eax).hlt(), 32);
    m.vcpu.setRip(CODE, 0);
    const asked: bigint[] = [];
    const raised: number[] = [];
    m.vcpu.hooks = {
      controlRegister: (_register, value) => void asked.push(value),
      inject: (vector) => {
        raised.push(vector);
        return m.vcpu.leave();
      },
    };
    expect(m.go().reason).toBe("intercepted");
    expect([asked, raised, m.vcpu.cr4]).toEqual([[0x2040n], [13], 0x40]);
  });
});

describe("MSRs of the x2APIC", () => {
  test("are asked about before the local APIC is", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) =>
      a.mov(ecx, 0x830).mov(eax, 5).mov(edx, 1).wrmsr().mov(ecx, 0x808).rdmsr().mov(ecx, 0x838).rdmsr().hlt(),
    );
    m.apic.msrs.set(0x808, [0x77, 0]);
    m.apic.msrs.set(0x838, [0x99, 0]);
    const asked: string[] = [];
    m.vcpu.hooks = {
      msrWrite: (msr, value) => {
        asked.push(`write ${msr.toString(16)} ${value.toString(16)}`);
        return false;
      },
      msrRead: (msr) => {
        asked.push(`read ${msr.toString(16)}`);
        if (msr !== 0x808) return true;
        expect(reg(m.vcpu, RAX)).toBe(5n);
        setReg(m.vcpu, RBX, 0x33);
        return false;
      },
    };
    m.go();
    expect(asked).toEqual(["write 830 100000005", "read 808", "read 838"]);
    expect(m.apic.msrs.has(0x830)).toBe(false);
    expect([reg(m.vcpu, RBX), reg(m.vcpu, RAX)]).toEqual([0x33n, 0x99n]);
  });
});
