import { describe, expect, it } from "vitest";
import { DecodeStatus, decode, Insn, type Mode } from "../src/decode/index.js";
import { FORMS } from "../src/decode/opcodes.js";
import { Comparison, STRIDE } from "./decode-reference.js";
import { bytesOf, everyModrm, Random, systematic, uniform } from "./decode-samples.js";

const MODES: readonly Mode[] = [64, 32, 16];

interface Comparisons {
  /** How many strings were looked at. */
  readonly strings: number;
  /** Differences of at most 20 of them, as text that says what to look at. */
  readonly differences: readonly string[];
  /** Forms that were met. */
  readonly forms: ReadonlySet<number>;
}

function compare(mode: Mode, bytes: Uint8Array): Comparisons {
  const comparison = new Comparison(bytes, mode);
  const strings = bytes.length / STRIDE;
  const differences: string[] = [];
  const forms = new Set<number>();
  for (let i = 0; i < strings && differences.length < 20; i++) {
    const difference = comparison.compare(i);
    if (difference !== null) {
      const hex = Buffer.from(bytes.subarray(i * STRIDE, i * STRIDE + 15)).toString("hex");
      differences.push(`${hex} (${comparison.code}): ${difference}`);
    } else if (comparison.status === DecodeStatus.Ok) forms.add(comparison.insn.form);
  }
  return { strings, differences, forms };
}

/** The three comparisons of a mode, each of them made once, when it is first asked for. */
function comparisons(mode: Mode) {
  const once = (make: () => Uint8Array): (() => Comparisons) => {
    let made: Comparisons | undefined;
    return () => {
      made ??= compare(mode, make());
      return made;
    };
  };
  return {
    systematic: once(() => systematic(mode, STRIDE, new Random(mode))),
    everyModrm: once(() => everyModrm(STRIDE, new Random(mode + 1))),
    uniform: once(() => uniform(100_000, STRIDE, new Random(mode + 2))),
  };
}

describe("equal to the reference decoder in validity, length, mnemonic, operands, prefixes and sizes", () => {
  const all = new Map(MODES.map((mode) => [mode, comparisons(mode)]));
  const of = (mode: Mode) => all.get(mode) as ReturnType<typeof comparisons>;

  it.each(MODES)("every map, opcode, prefix, REX, modrm.reg and kind of modrm.rm: %i-bit", (mode) => {
    expect(of(mode).systematic().differences).toEqual([]);
  });

  it.each(MODES)("every map, opcode and modrm: %i-bit", (mode) => {
    expect(of(mode).everyModrm().differences).toEqual([]);
  });

  it.each(MODES)("100 000 random strings: %i-bit", (mode) => {
    expect(of(mode).uniform().differences).toEqual([]);
  });

  it("every row of the opcode tables was met, in more than 1.2 million strings", () => {
    const listed = MODES.flatMap((mode) => [of(mode).systematic(), of(mode).everyModrm()]);
    const seen = new Set(listed.flatMap(({ forms }) => [...forms]));
    expect(FORMS.filter((form) => !seen.has(form.id)).map((form) => form.display)).toEqual([]);
    const random = MODES.map((mode) => of(mode).uniform());
    expect([...listed, ...random].reduce((sum, { strings }) => sum + strings, 0)).toBeGreaterThan(1_200_000);
  });
});

describe("length", () => {
  const insn = new Insn();

  it("no prefix of a valid instruction is valid: it is truncated", () => {
    const bytes = systematic(64, STRIDE, new Random(7)).subarray(0, 40_000 * STRIDE);
    let checked = 0;
    for (let at = 0; at < bytes.length; at += STRIDE) {
      if (decode(bytes, at, at + STRIDE, 64, insn) !== DecodeStatus.Ok) continue;
      const length = insn.len;
      for (let end = at; end < at + length; end++) {
        const status = decode(bytes, at, end, 64, insn);
        if (status !== DecodeStatus.Truncated) {
          expect.fail(
            `${Buffer.from(bytes.subarray(at, at + length)).toString("hex")} cut to ${end - at}: status ${status}`,
          );
        }
        checked++;
      }
      if (decode(bytes, at, at + length, 64, insn) !== DecodeStatus.Ok) expect.fail("needs no byte after its last");
    }
    expect(checked).toBeGreaterThan(50_000);
  });

  it("15 bytes are allowed, 16 are not", () => {
    const padded = (count: number, ...rest: number[]) => Uint8Array.from([...Array<number>(count).fill(0x2e), ...rest]);
    const status = (bytes: Uint8Array) => decode(bytes, 0, bytes.length, 64, insn);
    expect(status(padded(14, 0x90))).toBe(DecodeStatus.Ok);
    expect(insn.len).toBe(15);
    expect(status(padded(15, 0x90))).toBe(DecodeStatus.TooLong);
    expect(status(padded(10, 0xb8, 1, 2, 3, 4))).toBe(DecodeStatus.Ok);
    expect(status(padded(11, 0xb8, 1, 2, 3, 4))).toBe(DecodeStatus.TooLong);
  });

  it("an instruction cut off by the end of the readable bytes before byte 15 is truncated, not too long", () => {
    const bytes = new Uint8Array(14).fill(0x66);
    expect(decode(bytes, 0, 14, 64, insn)).toBe(DecodeStatus.Truncated);
    expect(decode(new Uint8Array(15).fill(0x66), 0, 15, 64, insn)).toBe(DecodeStatus.TooLong);
  });

  it("decodes at an offset", () => {
    const bytes = Uint8Array.of(0xcc, 0xcc, 0x48, 0x8b, 0x45, 0xf8, 0xcc);
    expect(decode(bytes, 2, bytes.length, 64, insn)).toBe(DecodeStatus.Ok);
    expect(insn).toMatchObject({ op: "mov", len: 4, opSize: 8, base: 5, dispLo: -8, dispHi: -1, seg: 2 });
  });
});

describe("what is not offered is #UD", () => {
  const insn = new Insn();
  it.each([
    ["VEX", "c5f877"],
    ["VEX, three bytes", "c4e2790000"],
    ["EVEX", "62f17c4858c0"],
    ["XOP", "8fe97800c0"],
    ["3DNow!", "0f0fc09e"],
    ["VMX", "0f01c2"],
    ["SVM", "0f01d8"],
    ["SSE4a", "f20f78c00102"],
    ["GFNI", "660f38cfc0"],
    ["RTM", "c7f800000000"],
    ["MOVDIRI", "0f38f900"],
    ["WAITPKG", "660faef0"],
  ])("%s", (_name, hex) => {
    const bytes = bytesOf(hex);
    expect(decode(bytes, 0, bytes.length, 64, insn)).toBe(DecodeStatus.Invalid);
  });
});

describe("LOCK", () => {
  const insn = new Insn();
  it.each([
    ["add [rax], ecx", "f00108", DecodeStatus.Ok],
    ["add eax, ecx", "f001c8", DecodeStatus.Invalid],
    ["add ecx, [rax]", "f00308", DecodeStatus.Invalid],
    ["cmp [rax], ecx", "f03908", DecodeStatus.Invalid],
    ["mov [rax], ecx", "f08908", DecodeStatus.Invalid],
    ["cmpxchg16b [rax]", "f0480fc708", DecodeStatus.Ok],
    ["bt [rax], ecx", "f00fa308", DecodeStatus.Invalid],
    ["bts [rax], ecx", "f00fab08", DecodeStatus.Ok],
  ])("%s", (_name, hex, status) => {
    const bytes = bytesOf(hex);
    expect(decode(bytes, 0, bytes.length, 64, insn)).toBe(status);
  });
});
