import { type Assembler, dx, eax, ebx, ecx, edi, edx, esi, mem, short } from "@vm/asm";
import { describe, expect, it } from "vitest";
import type { BareOptions } from "../src/index.js";
import { out8, RESULTS, runBoard } from "./run-board.js";

const rdmsr = (a: Assembler, msr: number): Assembler => a.mov(ecx, msr).emit([0x0f, 0x32]);
const wrmsr = (a: Assembler, msr: number): Assembler => a.mov(ecx, msr).emit([0x0f, 0x30]);

/** The 8259A pair with vectors 0x20 and 0x28, IRQ 0 alone unmasked, and a gate for vector 0x20. */
function prepareTimer(a: Assembler, handler: ReturnType<Assembler["label"]>): void {
  const IDT = 0x7000;
  out8(a, 0x20, 0x11);
  out8(a, 0x21, 0x20, 4, 1, 0xfe);
  out8(a, 0xa0, 0x11);
  out8(a, 0xa1, 0x28, 2, 1, 0xff);
  a.mov(eax, handler).mov(esi, IDT + 0x20 * 8);
  // Offset 15:0 and selector 0x10; offset 31:16 and a 32-bit interrupt gate.
  a.mov(ebx, eax)
    .and(ebx, 0xffff)
    .or(ebx, 0x10_0000)
    .mov(mem(esi, { size: 4 }), ebx);
  a.and(eax, 0xffff_0000)
    .or(eax, 0x8e00)
    .mov(mem(esi, { disp: 4, size: 4 }), eax);
  // LIDT of a limit and a base put on memory.
  a.mov(esi, 0x6f00).mov(mem(esi, { size: 4 }), (0x1ff | (IDT << 16)) >>> 0);
  a.mov(mem(esi, { disp: 4, size: 4 }), IDT >>> 16).emit([0x0f, 0x01, 0x1e]);
  a.mov(esi, 0x80000).emit([0x89, 0xf4]);
}

describe("8254 and 8259A", () => {
  it("IRQ 0 wakes a halted processor after exactly its count, past an APIC that nobody has enabled", async () => {
    const COUNT = 11932;
    const { machine, results } = await runBoard((a, keep) => {
      const [handler, wait] = [a.label("handler"), a.label("wait")];
      prepareTimer(a, handler);
      a.mov(ebx, 0);
      out8(a, 0x43, 0x34);
      out8(a, 0x40, COUNT & 0xff, COUNT >> 8);
      a.emit([0x0f, 0x31]);
      keep(eax);
      a.bind(wait).sti().hlt().cmp(ebx, 3).jne(short(wait));
      a.emit([0x0f, 0x31]);
      keep(eax);
      const end = a.label("end");
      a.jmp(end);
      a.bind(handler).emit([0x43, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf]);
      a.bind(end);
    });
    const elapsed = (results[1] as number) - (results[0] as number);
    // The first rise is the control word's own; the third from there is after two whole periods.
    expect(elapsed / ((COUNT * 88_000) / 105)).toBeCloseTo(2, 2);
    expect(machine.vcpus[0]?.cpu.counts.hlt).toBe(3);
  });

  it("a masked LINT0 keeps the timer away; disabling the APIC lets it through again", async () => {
    const { results } = await runBoard((a, keep) => {
      const [handler, end] = [a.label("handler"), a.label("end")];
      prepareTimer(a, handler);
      a.mov(esi, 0xfee0_0350).mov(mem(esi, { size: 4 }), 0x10700);
      a.mov(ebx, 0);
      out8(a, 0x43, 0x34);
      out8(a, 0x40, 100, 0);
      a.sti();
      // Several periods.
      a.mov(ecx, 300_000);
      const spin = a.here("spin");
      a.emit([0x49]).jne(short(spin));
      a.mov(eax, ebx);
      keep(eax);
      rdmsr(a, 0x1b).and(eax, ~0x800);
      wrmsr(a, 0x1b);
      const wait = a.here("wait");
      a.cmp(ebx, 0).je(short(wait));
      a.cli().mov(eax, 1);
      keep(eax);
      a.jmp(end);
      a.bind(handler).emit([0x43, 0x50, 0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf]);
      a.bind(end);
    });
    expect(results).toEqual([0, 1]);
  });

  it("Linux machines have none unless asked", async () => {
    const read = (a: Assembler): Assembler => a.emit([0xe4, 0x21, 0x0f, 0xb6, 0xc0]);
    const board = (legacyDevices: boolean) =>
      runBoard(
        (a, keep) => {
          out8(a, 0x21, 0x5a);
          read(a);
          keep(eax);
        },
        { legacyDevices },
      );
    expect((await board(true)).results).toEqual([0x5a]);
    expect((await board(false)).results).toEqual([0xff]);
  });

  it("there is no PCI: its configuration ports read ones", async () => {
    const { results } = await runBoard((a, keep) => {
      a.mov(dx, 0xcf8).mov(eax, 0x8000_0000).out(dx, eax);
      a.mov(dx, 0xcfc).emit([0xed]);
      keep(eax);
    });
    expect(results).toEqual([0xffff_ffff]);
  });
});

describe("IA32_APIC_BASE", () => {
  it("CPUID and the register page follow its enable bit, off and on again", async () => {
    const look = (a: Assembler, keep: (register: typeof eax) => void): void => {
      a.mov(eax, 1).cpuid().and(edx, 0x200);
      keep(edx);
      a.mov(esi, 0xfee0_0030).mov(eax, mem(esi, { size: 4 }));
      keep(eax);
    };
    const { results } = await runBoard((a, keep) => {
      look(a, keep);
      rdmsr(a, 0x1b).and(eax, ~0x800);
      wrmsr(a, 0x1b);
      look(a, keep);
      rdmsr(a, 0x1b).or(eax, 0x800);
      wrmsr(a, 0x1b);
      look(a, keep);
    });
    expect(results).toEqual([0x200, 0x50014, 0, 0xffff_ffff, 0x200, 0x50014]);
  });

  it("moves the register page", async () => {
    const { results } = await runBoard((a, keep) => {
      rdmsr(a, 0x1b).and(eax, 0xfff).or(eax, 0xfed0_0000);
      wrmsr(a, 0x1b);
      for (const page of [0xfee0_0030, 0xfed0_0030]) {
        a.mov(esi, page).mov(eax, mem(esi, { size: 4 }));
        keep(eax);
      }
    });
    expect(results).toEqual([0xffff_ffff, 0x50014]);
  });
});

describe("what KVM's signature promises", () => {
  const vmcall = (a: Assembler, number: number): Assembler => a.mov(eax, number).emit([0x0f, 0x01, 0xc1]);

  it("an unknown hypercall gives -KVM_ENOSYS; SEND_IPI sends, and tells to how many", async () => {
    const { results, machine } = await runBoard(
      (a, keep) => {
        vmcall(a, 99);
        keep(eax);
        // NMI to APIC 1 and to one that is not there; then a vector to nobody.
        a.mov(ebx, 0b110).mov(ecx, 0).mov(edx, 0).mov(esi, 0x400);
        vmcall(a, 10);
        keep(eax);
        a.mov(edx, 0xffff_fff0).mov(ebx, -1).mov(esi, 0x40);
        vmcall(a, 10);
        keep(eax);
        // INIT is not sent this way.
        a.mov(edx, 0).mov(ebx, 2).mov(esi, 0x500);
        vmcall(a, 10);
        keep(eax);
      },
      { cpus: 2 },
    );
    expect(results).toEqual([-1000 >>> 0, 1, 0, 0]);
    expect(machine.vcpus[0]?.cpu.counts.hypercall).toBe(4);
  });

  it("a plugin's own hypercalls come first", async () => {
    const plugin = {
      name: "hypercalls",
      install: ({ vcpus }: Parameters<NonNullable<BareOptions["plugins"]>[number]["install"]>[0]) => {
        vcpus[0]?.on("hypercall", () => {
          const { cpu } = vcpus[0] as (typeof vcpus)[number];
          if (cpu.regLo(0) !== 77) return false;
          cpu.setReg(0, 78, 0);
          return true;
        });
      },
    };
    const { results } = await runBoard(
      (a, keep) => {
        for (const number of [77, 99]) {
          vmcall(a, number);
          keep(eax);
        }
      },
      { plugins: [plugin] },
    );
    expect(results).toEqual([78, -1000 >>> 0]);
  });

  it("the paravirtual clock is announced and tells virtual time", async () => {
    const AT = 0x5000;
    const { results, machine } = await runBoard((a, keep) => {
      a.mov(eax, 0x4000_0001).cpuid().and(eax, 0x100_0008);
      keep(eax);
      a.mov(eax, AT + 1).mov(edx, 0);
      wrmsr(a, 0x4b56_4d01);
      rdmsr(a, 0x4b56_4d01);
      keep(eax);
    });
    expect(results).toEqual([0x100_0008, AT + 1]);
    const { memory } = machine;
    expect(memory.readU32(AT)).toBe(2);
    expect(memory.readU32(AT + 16)).toBe(memory.readU32(AT + 8));
  });
});

describe("several processors", () => {
  it("that take turns by interrupts do so in few instructions", async () => {
    const ROUNDS = 500;
    // The second processor copies a word that the first counts up; the first sends an NMI and waits for the copy.
    const { machine, results } = await runBoard(
      (a, keep) => {
        const trampoline = a.label("trampoline");
        const end = a.label("end");
        a.mov(esi, trampoline).mov(edi, 0x8000).mov(ecx, 64).rep().movsb();
        a.mov(edi, RESULTS);
        // The vector of NMI in real mode: the IRET at the end.
        a.mov(esi, 8).mov(mem(esi, { size: 4 }), 0x800f);
        a.mov(esi, 0xfee0_0310).mov(mem(esi, { size: 4 }), 1 << 24);
        a.mov(esi, 0xfee0_0300).mov(mem(esi, { size: 4 }), 0x4500);
        a.mov(mem(esi, { size: 4 }), 0x4608);
        a.mov(ebx, 0);
        const next = a.here("next");
        a.emit([0x43]).mov(mem(edi, { disp: 0x100, size: 4 }), ebx);
        a.mov(mem(esi, { size: 4 }), 0x4400);
        const wait = a.here("wait");
        a.cmp(mem(edi, { disp: 0x104, size: 4 }), ebx).jne(short(wait));
        a.cmp(ebx, ROUNDS).jne(short(next));
        a.mov(eax, ebx);
        keep(eax);
        a.jmp(end);
        a.bits = 16;
        a.bind(trampoline);
        // MOV AX, 0; MOV DS, AX; again: MOV EAX, [0x6100]; MOV [0x6104], EAX; JMP again; IRET
        a.emit([0xb8, 0, 0, 0x8e, 0xd8, 0x66, 0xa1, 0x00, 0x61, 0x66, 0xa3, 0x04, 0x61, 0xeb, 0xf6, 0xcf]);
        a.bits = 32;
        a.bind(end);
      },
      { cpus: 2 },
    );
    expect(results).toEqual([ROUNDS]);
    expect(machine.stats().instructions).toBeLessThan(ROUNDS * 20_000);
  });
});

it("a TSC deadline that a write to the TSC leaves behind expires at once (SDM vol. 3, 10.5.4.1)", async () => {
  const APIC = 0xfee00000;
  const { results } = await runBoard((a, keep) => {
    const store = (register: number, value: number): void => {
      a.mov(esi, APIC + register).mov(mem(esi, { size: 4 }), value);
    };
    /** Bit 0 of the IRR's second doubleword is vector 0x20. */
    const keepRequest = (): void => {
      a.mov(esi, APIC + 0x210).mov(eax, mem(esi));
      keep(eax);
    };
    store(0xf0, 0x1ff);
    store(0x320, 0x40020);
    a.mov(eax, 0).mov(edx, 0x1000);
    wrmsr(a, 0x6e0);
    keepRequest();
    a.mov(edx, 0x1001);
    wrmsr(a, 0x10);
    keepRequest();
  });
  expect(results).toEqual([0, 1]);
});
