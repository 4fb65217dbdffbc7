import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AmbiguousSizeError,
  AsmError,
  Assembler,
  ah,
  al,
  ax,
  type Bits,
  DisplacementOverflowError,
  eax,
  ecx,
  LabelError,
  mem,
  NoSuchFormError,
  r8b,
  rax,
  rbx,
  rcx,
  rdi,
  short,
  spl,
  UnboundLabelError,
  ValueError,
  xmm0,
  xmm8,
} from "../src/index.js";
import { decode } from "./iced.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("immediates", () => {
  it("keep their value in every form of mov and add", () => {
    for (const [register, bits] of [
      [al, 8],
      [ax, 16],
      [eax, 32],
      [rax, 64],
    ] as const) {
      const value = fc.oneof(
        fc.bigInt(-(1n << BigInt(bits - 1)), (1n << BigInt(bits)) - 1n),
        fc.bigInt(-130n, 130n).filter((v) => bits > 8 || v >= -128n),
      );
      fc.assert(
        fc.property(value, (v) => {
          const { operands } = decode(new Assembler().mov(register, v).assemble(), 64);
          expect(BigInt.asUintN(bits, BigInt(operands[1] ?? -1))).toBe(BigInt.asUintN(bits, v));
          const signed = BigInt.asIntN(bits, v);
          if (BigInt.asIntN(32, signed) !== signed) return;
          const sum = decode(new Assembler().add(register, v).assemble(), 64);
          expect(BigInt.asUintN(bits, BigInt(sum.operands[1] ?? -1))).toBe(BigInt.asUintN(bits, v));
        }),
      );
    }
  });

  it("take the shortest field that sign-extends to the value", () => {
    expect(hex(new Assembler().add(rcx, -1).assemble())).toBe("4883c1ff");
    expect(hex(new Assembler().add(rcx, 128).assemble())).toBe("4881c180000000");
    expect(hex(new Assembler().mov(rcx, -1).assemble())).toBe("48c7c1ffffffff");
    expect(hex(new Assembler().mov(rcx, 0xffff_ffff).assemble())).toBe("48b9ffffffff00000000");
    expect(hex(new Assembler().mov(rcx, 0xffff_ffff_8000_0000n).assemble())).toBe("48c7c100000080");
  });

  it("too large for any field are refused", () => {
    expect(() => new Assembler().add(rax, 1n << 31n)).toThrow(NoSuchFormError);
    expect(() => new Assembler().mov(al, 256)).toThrow(NoSuchFormError);
    expect(() => new Assembler().mov(rax, 1n << 64n)).toThrow(NoSuchFormError);
    expect(() => new Assembler().mov(rax, 2 ** 60)).toThrow(NoSuchFormError);
    expect(() => new Assembler().shl(rax, 1.5)).toThrow(NoSuchFormError);
  });
});

describe("branches", () => {
  it("reach their label forwards and backwards, near and short", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 110 }),
        fc.boolean(),
        fc.boolean(),
        fc.constantFrom<Bits>(16, 32, 64),
        (gap, near, back, bits) => {
          const a = new Assembler({ org: 0x1000, bits });
          const target = a.label("target");
          if (back) a.bind(target).space(gap, 0x90);
          const at = a.offset;
          a.jnz(near ? target : short(target));
          if (!back) a.space(gap, 0x90).bind(target);
          const code = a.assemble().subarray(at);
          expect(decode(code, bits, BigInt(0x1000 + at)).operands).toEqual([`to ${a.addressOf(target)}`]);
        },
      ),
    );
  });

  it("reach an absolute address", () => {
    const a = new Assembler({ org: 0x7fff_0000 });
    a.call(0x10_0000);
    expect(decode(a.assemble(), 64, 0x7fff_0000n).operands).toEqual([`to ${0x10_0000}`]);
  });

  it("that are too short for their distance are refused by assemble()", () => {
    const a = new Assembler();
    const target = a.label("far away");
    a.jmp(short(target));
    a.space(128).bind(target);
    expect(() => a.assemble()).toThrow(DisplacementOverflowError);
    expect(() => a.assemble()).toThrow(/far away/);
  });

  it("loop and jrcxz are short without saying so", () => {
    const a = new Assembler();
    const top = a.here("top");
    a.loop(top);
    a.jrcxz(top);
    expect(hex(a.assemble())).toBe("e2fee3fc");
  });
});

describe("labels", () => {
  it("give their address as data and as an immediate", () => {
    const a = new Assembler({ org: 0x1122_3344 });
    const here = a.here("here");
    a.dw(1).dd(here).dq(here).mov(eax, here);
    expect(hex(a.assemble())).toBe("0100443322114433221100000000b844332211");
    expect(a.addressOf(here)).toBe(0x1122_3344n);
    expect(a.offsetOf(here)).toBe(0);
  });

  it("must be bound once, here, before assemble()", () => {
    const a = new Assembler();
    const label = a.label("lost");
    a.jmp(label);
    expect(() => a.assemble()).toThrow(UnboundLabelError);
    expect(() => a.addressOf(label)).toThrow(UnboundLabelError);
    a.bind(label);
    expect(hex(a.assemble())).toBe("e900000000");
    expect(() => a.bind(label)).toThrow(LabelError);
    const other = new Assembler();
    expect(() => other.bind(label)).toThrow(LabelError);
    expect(() => other.jmp(label)).toThrow(LabelError);
    expect(() => other.dq(label)).toThrow(LabelError);
    expect(other.offset).toBe(0);
  });

  it("whose address does not fit its field are refused by assemble()", () => {
    const a = new Assembler({ org: 1n << 32n });
    a.dd(a.here("high"));
    expect(() => a.assemble()).toThrow(DisplacementOverflowError);
  });

  it("work at the top of the address space", () => {
    const org = 0xffff_ffff_8000_0000n;
    const a = new Assembler({ org });
    const data = a.label("data");
    a.mov(rax, mem(data)).movabs(rbx, data);
    a.bind(data).dq(data);
    const bytes = a.assemble();
    expect(decode(bytes, 64, org).operands[1]).toBe(`m64 [++${a.addressOf(data)}]`);
    expect(decode(bytes.subarray(7), 64).operands[1]).toBe(`${a.addressOf(data)}`);
  });
});

describe("data and alignment", () => {
  it("db takes bytes and strings, dw, dd and dq little-endian words of either sign", () => {
    const text = new Assembler().db("Hi", 0, -1).emit([0x0f, 0x0b]);
    expect(hex(text.assemble())).toBe("486900ff0f0b");
    const words = new Assembler().dw(0x1234, -2).dd(0xffff_fff0).dq(-2n, 0x0123_4567_89ab_cdefn);
    expect(hex(words.assemble())).toBe(["3412", "feff", "f0ffffff", "feffffffffffffff", "efcdab8967452301"].join(""));
  });

  it("items that do not fit are refused before anything is written", () => {
    for (const wrong of [
      (a: Assembler) => a.db(1, 256),
      (a: Assembler) => a.db("\u0100"),
      (a: Assembler) => a.dw(1, -32769),
      (a: Assembler) => a.dd(1, 2 ** 32),
      (a: Assembler) => a.dq(1, 1n << 64n),
      (a: Assembler) => a.dd(0.5),
      (a: Assembler) => a.space(-1),
      (a: Assembler) => a.space(1, 256),
      (a: Assembler) => a.align(3),
      (a: Assembler) => a.align(0),
    ]) {
      const a = new Assembler();
      expect(() => wrong(a)).toThrow(ValueError);
      expect(a.offset).toBe(0);
    }
    expect(() => new Assembler({ org: -1 })).toThrow(ValueError);
  });

  it("align counts from address 0, not from the first byte", () => {
    expect(hex(new Assembler({ org: 3 }).align(4).db(1).align(4, 0).align(4).assemble())).toBe("9001000000");
  });
});

describe("prefixes", () => {
  it("lock and rep stand before the next instruction", () => {
    expect(decode(new Assembler().lock().cmpxchg(mem(rdi), rcx).assemble(), 64)).toMatchObject({
      mnemonic: "cmpxchg",
      lock: true,
    });
    expect(hex(new Assembler().rep().stosq().repne().scasb().assemble())).toBe("f348abf2ae");
  });

  it("are refused where the instruction does not take them", () => {
    expect(() => new Assembler().lock().mov(mem(rdi), rcx)).toThrow(NoSuchFormError);
    expect(() => new Assembler().lock().add(rdi, rcx)).toThrow(NoSuchFormError);
    expect(() => new Assembler().rep().add(rdi, rcx)).toThrow(NoSuchFormError);
    expect(() => new Assembler().rep().movsd(xmm0, xmm8)).toThrow(NoSuchFormError);
    expect(() => new Assembler().rep().repne()).toThrow(NoSuchFormError);
    expect(() => new Assembler().rep().assemble()).toThrow(NoSuchFormError);
  });
});

describe("forms", () => {
  it("follow the code width, which can change mid-stream", () => {
    const a = new Assembler({ bits: 16 });
    a.mov(eax, 1);
    a.bits = 32;
    a.mov(ax, 1);
    a.bits = 64;
    a.push(rax);
    expect(hex(a.assemble())).toBe("66b80100000066b8010050");
  });

  it("that do not exist are refused with the operands named", () => {
    const a = new Assembler();
    expect(() => a.mov(mem(rax), mem(rbx))).toThrow("mov m[rax], m[rbx]: no such form in 64-bit code");
    expect(() => a.add(rax, ecx)).toThrow(NoSuchFormError);
    expect(() => a.push(eax)).toThrow(NoSuchFormError);
    expect(() => a.pushad()).toThrow(NoSuchFormError);
    expect(() => a.hlt(1)).toThrow(NoSuchFormError);
    expect(() => a.mov(eax, mem(rbx, { size: 8 }))).toThrow(NoSuchFormError);
    a.bits = 32;
    expect(() => a.mov(rax, rbx)).toThrow(NoSuchFormError);
    expect(() => a.mov(al, spl)).toThrow(NoSuchFormError);
    expect(() => a.pxor(xmm0, xmm8)).toThrow(NoSuchFormError);
    expect(() => a.syscall()).toThrow(NoSuchFormError);
    expect(a.offset).toBe(0);
  });

  it("of several sizes need a sized memory operand", () => {
    for (const wrong of [
      (a: Assembler) => a.inc(mem(rax)),
      (a: Assembler) => a.mov(mem(rax), 1),
      (a: Assembler) => a.movzx(eax, mem(rax)),
      (a: Assembler) => a.shl(mem(rax), 1),
      (a: Assembler) => a.push(mem(rax)),
      (a: Assembler) => a.fld(mem(rax)),
    ]) {
      const a = new Assembler();
      expect(() => wrong(a)).toThrow(AmbiguousSizeError);
      expect(a.offset).toBe(0);
    }
    expect(decode(new Assembler().mov(mem(rax), ecx).assemble(), 64).operands[0]).toMatch(/^m32 /);
    expect(decode(new Assembler().jmp(mem(rax)).assemble(), 64).operands[0]).toMatch(/^m64 /);
  });

  it("with REX take no high byte register", () => {
    expect(() => new Assembler().mov(ah, r8b)).toThrow(NoSuchFormError);
    expect(() => new Assembler().mov(ah, r8b)).toThrow(AsmError);
    expect(hex(new Assembler().mov(ah, al).mov(spl, al).assemble())).toBe("88c44088c4");
  });
});
