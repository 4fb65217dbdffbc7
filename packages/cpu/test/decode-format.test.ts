import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction, MemorySizeOptions } from "iced-x86";
import { describe, expect, it } from "vitest";
import { DecodeStatus, decode, format, Insn, type Mode } from "../src/decode/index.js";
import { bytesOf, Random, systematic } from "./decode-samples.js";

const insn = new Insn();

function disassemble(hex: string, mode: Mode = 64, ip?: number | bigint): string {
  const bytes = bytesOf(hex);
  expect(decode(bytes, 0, bytes.length, mode, insn)).toBe(DecodeStatus.Ok);
  expect(insn.len).toBe(bytes.length);
  return format(insn, ip);
}

describe("64-bit", () => {
  it.each([
    ["f00fb1548bf8", "lock cmpxchg dword ptr [rbx+rcx*4-0x8], edx"],
    ["48895c2410", "mov qword ptr [rsp+0x10], rbx"],
    ["4883c4f8", "add rsp, 0xfffffffffffffff8"],
    ["b8ffffffff", "mov eax, 0xffffffff"],
    ["48b8efcdab8967452301", "mov rax, 0x123456789abcdef"],
    ["65488b042500000000", "mov rax, qword ptr gs:[0x0]"],
    ["8a6500", "mov ah, byte ptr [rbp+0x0]"],
    ["408a6500", "mov spl, byte ptr [rbp+0x0]"],
    ["66450fb6c1", "movzx r8w, r9b"],
    ["0f94c0", "sete al"],
    ["480f4fc1", "cmovg rax, rcx"],
    ["f3a4", "rep movsb"],
    ["f348ab", "rep stosq"],
    ["f3a6", "repe cmpsb"],
    ["f2ae", "repne scasb"],
    ["6467ad", "a32 fs lodsd"],
    ["4898", "cdqe"],
    ["99", "cdq"],
    ["48cf", "iretq"],
    ["480f07", "sysretq"],
    ["0f05", "syscall"],
    ["c8100001", "enter 0x10, 0x1"],
    ["f30f1efa", "endbr64"],
    ["0f1f4000", "nop [rax+0x0]"],
    ["0f1808", "prefetcht0 [rax]"],
    ["f390", "pause"],
    ["480fae00", "fxsave64 [rax]"],
    ["0f22d8", "mov cr3, rax"],
    ["8ed8", "mov ds, eax"],
    ["0f0118", "lidt tbyte ptr [rax]"],
    ["ff28", "jmp far fword ptr [rax]"],
    ["dc04c1", "fadd qword ptr [rcx+rax*8]"],
    ["d8c1", "fadd st(0), st(1)"],
    ["d928", "fldcw word ptr [rax]"],
    ["660f6fc1", "movdqa xmm0, xmm1"],
    ["0fef4108", "pxor mm0, qword ptr [rcx+0x8]"],
    ["660f3a0fc108", "palignr xmm0, xmm1, 0x8"],
    ["d1e0", "shl eax, 1"],
    ["d3f0", "shl eax, cl"],
    ["67e300", "jecxz $+0x3"],
    ["ebfe", "jmp $+0x0"],
    ["e8fbfeffff", "call $-0x100"],
    ["488b0500010000", "mov rax, qword ptr [rip+0x100]"],
  ])("%s is %s", (hex, text) => {
    expect(disassemble(hex)).toBe(text);
  });

  it("with the address of the instruction, branch targets and RIP-relative addresses are absolute", () => {
    expect(disassemble("e8fbfeffff", 64, 0x401000)).toBe("call 0x400f00");
    expect(disassemble("7402", 64, 0xffffffff81000000n)).toBe("je 0xffffffff81000004");
    expect(disassemble("488b0500010000", 64, 0xffffffff81000000n)).toBe(
      "mov rax, qword ptr [rip+0x100] # 0xffffffff81000107",
    );
    expect(disassemble("ebfc", 64, 0)).toBe("jmp 0xfffffffffffffffe");
  });
});

describe("16- and 32-bit", () => {
  it.each<[Mode, string, string]>([
    [16, "8b4206", "mov ax, word ptr [bp+si+0x6]"],
    [16, "8b1e3412", "mov bx, word ptr [0x1234]"],
    [16, "ea5b0000f0", "jmp far 0xf000:0x5b"],
    [16, "66ea10000000080f", "jmp far 0xf08:0x10"],
    [16, "0f011e0010", "lidt fword ptr [0x1000]"],
    [16, "6660", "pushad"],
    [16, "2e6667ac", "a32 cs lodsb"],
    [32, "a178563412", "mov eax, dword ptr [0x12345678]"],
    [32, "648b0d28000000", "mov ecx, dword ptr fs:[0x28]"],
    [32, "40", "inc eax"],
    [32, "c407", "les eax, fword ptr [edi]"],
    [32, "0f20c0", "mov eax, cr0"],
    [32, "9d", "popfd"],
  ])("%i-bit %s is %s", (mode, hex, text) => {
    expect(disassemble(hex, mode)).toBe(text);
  });

  it("a branch target is as wide as the operand size", () => {
    expect(disassemble("e9fd7f", 16, 0xfff0)).toBe("jmp 0x7ff0");
  });
});

describe("operands read as the reference prints them", () => {
  /** Written otherwise on purpose, or not at all: implicit and stack operands, far pointers, hints. */
  const OTHERWISE =
    /^(?:f\w+|xlat|nop|xchg|ret far|jmp far|call far|prefetch\w+|cldemote|clflush\w*|clwb|rdssp\w|pop\w?|push\w|mov [c-gs]s,|imul \w+, 0x|lldt|ltr|ver[rw]|lmsw|lar|lsl)/;
  const PREFIXES = /^(?:(?:data\d\d|addr\d\d|bnd|notrack|hint-\S+|xacquire|xrelease|repn?e?) )+/;
  /** Both sides without what only one of them shows: overrides without effect. */
  const plain = (text: string) => text.replace(PREFIXES, "").replace(/\b[cdes]s:/, "");

  it.each<Mode>([64, 32, 16])("%i-bit", (mode) => {
    const stride = 32;
    const bytes = systematic(mode, stride, new Random(mode)).subarray(0, 60_000 * stride);
    const decoder = new Decoder(mode, bytes, DecoderOptions.NoWbnoinvd);
    const reference = new Instruction();
    const formatter = new Formatter(FormatterSyntax.Intel);
    formatter.hexPrefix = "0x";
    formatter.hexSuffix = "";
    formatter.uppercaseHex = false;
    formatter.smallHexNumbersInDecimal = false;
    formatter.addLeadingZeroToHexNumbers = false;
    formatter.spaceAfterOperandSeparator = true;
    formatter.branchLeadingZeros = false;
    formatter.ripRelativeAddresses = true;
    formatter.showZeroDisplacements = true;
    formatter.showBranchSize = false;
    formatter.usePseudoOps = false;
    formatter.memorySizeOptions = MemorySizeOptions.Always;
    let compared = 0;
    for (let at = 0; at < bytes.length; at += stride) {
      if (decode(bytes, at, at + stride, mode, insn) !== DecodeStatus.Ok) continue;
      decoder.position = at;
      decoder.ip = 0x1000n;
      decoder.decodeOut(reference);
      if (reference.isStringInstruction) continue;
      const theirs = plain(formatter.format(reference));
      if (OTHERWISE.test(theirs)) continue;
      const ours = plain(format(insn, 0x1000).replace(/ # .*/, "")).replace(/, 1$/, ", 0x1");
      const operands = (text: string) => text.replace(/^(?:lock )?\S+ ?/, "");
      if (operands(ours) !== operands(theirs)) expect.fail(`${ours}, expected ${theirs}`);
      compared++;
    }
    expect(compared).toBeGreaterThan(10_000);
  });
});
