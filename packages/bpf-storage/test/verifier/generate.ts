import fc from "fast-check";
import type { Insn } from "../../src/isa/insn.js";
import { AluOp, Class, EXIT, JmpOp, LD_IMM64, Mode, Pseudo, Size, Source } from "../../src/isa/opcodes.js";
import { kernelId } from "./kfunc-kernel.js";

/** Programs at random, biased to where verifiers go wrong: edges of ranges, both widths, spills of all sizes, links between registers. */

/** Number of the map that programs access; its value has 64 bytes. */
export const MAP_FD = 1;
export const VALUE_SIZE = 64;
export const CONTEXT_WORDS = 8;

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm: imm | 0 });

/** A piece of a program; jumps name how many pieces they skip. */
type Piece =
  | { readonly kind: "insns"; readonly insns: readonly Insn[] }
  | { readonly kind: "jump"; readonly insn: Insn; readonly skip: number }
  /** Repeats the pieces before it, as long as a counter of its own has not run out. */
  | { readonly kind: "back"; readonly times: number; readonly over: number }
  /** Repeats the pieces before it as often as it likes (may_goto). */
  | { readonly kind: "maybe"; readonly over: number }
  /** Goes back where the iterator has an element left. */
  | { readonly kind: "next"; readonly over: number };

export const EDGES = [
  ...[
    0, 1, 2, 3, 7, 8, 15, 16, 31, 32, 33, 63, 64, 127, 128, 255, 256, 0x7fff, 0x8000, 0xffff, 0x7fff_fffe, 0x7fff_ffff,
  ],
  ...[-1, -2, -8, -128, -0x8000, -0x7fff_ffff, -0x8000_0000],
];
const immediate = fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...EDGES) }, { weight: 1, arbitrary: fc.integer() });
/** Registers that hold numbers all the time. */
const register = fc.constantFrom(0, 6, 7, 8, 9);
const isWide = fc.boolean();
const cls = (wide: boolean): number => (wide ? Class.Alu64 : Class.Alu);

const BINARY = [AluOp.Add, AluOp.Sub, AluOp.Mul, AluOp.Or, AluOp.And, AluOp.Xor, AluOp.Div, AluOp.Mod];
const SHIFTS = [AluOp.Lsh, AluOp.Rsh, AluOp.Arsh];
const SIZES = [Size.B, Size.H, Size.W, Size.Dw];
const bytesOf = (size: number): number => (size === Size.B ? 1 : size === Size.H ? 2 : size === Size.W ? 4 : 8);

const one = (code: Insn): Piece => ({ kind: "insns", insns: [code] });

const arithmetic: fc.Arbitrary<Piece> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...BINARY), isWide, register, immediate)
    .map(([op, wide, dst, imm]) =>
      one(insn(cls(wide) | op, dst, 0, 0, (op === AluOp.Div || op === AluOp.Mod) && imm === 0 ? 1 : imm)),
    ),
  fc
    .tuple(fc.constantFrom(...BINARY, ...SHIFTS, AluOp.Mov, AluOp.Mov), isWide, register, register)
    .map(([op, wide, dst, src]) => one(insn(cls(wide) | op | Source.X, dst, src))),
  fc
    .tuple(fc.constantFrom(...SHIFTS), isWide, register, fc.constantFrom(0, 1, 8, 16, 31, 32, 33, 63))
    .map(([op, wide, dst, by]) => one(insn(cls(wide) | op, dst, 0, 0, wide ? by : by & 31))),
  fc.tuple(isWide, register, immediate).map(([wide, dst, imm]) => one(insn(cls(wide) | AluOp.Mov, dst, 0, 0, imm))),
  fc
    .tuple(isWide, register, register, fc.constantFrom(8, 16, 32))
    .map(([wide, dst, src, bits]) =>
      one(insn(cls(wide) | AluOp.Mov | Source.X, dst, src, wide || bits < 32 ? bits : 16)),
    ),
  fc.tuple(isWide, register).map(([wide, dst]) => one(insn(cls(wide) | AluOp.Neg, dst))),
  fc
    .tuple(register, fc.constantFrom(16, 32, 64))
    .map(([dst, bits]) => one(insn(Class.Alu64 | AluOp.End, dst, 0, 0, bits))),
);

/** Words and parts of words of the first eight slots. */
const place = fc
  .tuple(fc.constantFrom(...SIZES), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 0, max: 7 }))
  .map(([size, slot, part]) => {
    const bytes = bytesOf(size);
    return { size, off: -8 * slot + (part % (8 / bytes)) * bytes };
  });

const memory: fc.Arbitrary<Piece> = fc.oneof(
  fc.tuple(place, register).map(([{ size, off }, src]) => one(insn(Class.Stx | Mode.Mem | size, 10, src, off))),
  fc.tuple(place, immediate).map(([{ size, off }, imm]) => one(insn(Class.St | Mode.Mem | size, 10, 0, off, imm))),
  fc.tuple(place, register).map(([{ size, off }, dst]) => one(insn(Class.Ldx | Mode.Mem | size, dst, 10, off))),
  fc
    .tuple(place, register)
    .map(([{ size, off }, dst]) =>
      one(insn(Class.Ldx | (size === Size.Dw ? Mode.Mem : Mode.MemSx) | size, dst, 10, off)),
    ),
  fc.tuple(register, fc.constantFrom(0, 8, 16, 24), fc.constantFrom(...SIZES)).map(
    ([dst, at, size]): Piece => ({
      kind: "insns",
      insns: [
        insn(Class.Ld | Mode.Imm | Size.Dw, 1, Pseudo.MapValue, 0, MAP_FD),
        insn(0),
        insn(Class.Ldx | Mode.Mem | size, dst, 1, at),
      ],
    }),
  ),
  // A spilled pointer comes back as it was.
  fc.tuple(register, fc.integer({ min: 0, max: 56 })).map(
    ([dst, at]): Piece => ({
      kind: "insns",
      insns: [
        ...[insn(LD_IMM64, 1, Pseudo.MapValue, 0, MAP_FD), insn(0)],
        ...[insn(Class.Stx | Mode.Mem | Size.Dw, 10, 1, -40), insn(Class.Ldx | Mode.Mem | Size.Dw, 2, 10, -40)],
        insn(Class.Ldx | Mode.Mem | Size.B, dst, 2, at),
      ],
    }),
  ),
);

/** An access at a distance that a register says, after a check of it that is right, wrong or nearly right. */
const access: fc.Arbitrary<Piece> = fc
  .tuple(
    register,
    register,
    fc.constantFrom(...SIZES),
    fc.integer({ min: 0, max: 3 }),
    fc.constantFrom(0, 0, 1, 8, 56, 63),
  )
  .map(([index, dst, size, check, at]): Piece => {
    const bytes = bytesOf(size);
    const last = VALUE_SIZE - bytes - at;
    const guard =
      check === 0
        ? [insn(Class.Alu64 | AluOp.And, index, 0, 0, Math.max(0, 31 - at))]
        : check === 1
          ? [insn(Class.Jmp | JmpOp.Jgt, index, 0, 4, Math.max(0, last))]
          : check === 2
            ? [insn(Class.Jmp32 | JmpOp.Jgt, index, 0, 4, Math.max(0, last)), ...[]]
            : [
                insn(Class.Jmp | JmpOp.Jsgt, index, 0, 5, Math.max(0, last)),
                insn(Class.Jmp | JmpOp.Jslt, index, 0, 4, 0),
              ];
    const reach = [
      insn(LD_IMM64, 1, Pseudo.MapValue, 0, MAP_FD),
      insn(0),
      insn(Class.Alu64 | AluOp.Add | Source.X, 1, index),
    ];
    return { kind: "insns", insns: [...guard, ...reach, insn(Class.Ldx | Mode.Mem | size, dst, 1, at)] };
  });

const COMPARISONS = [
  ...[JmpOp.Jeq, JmpOp.Jne, JmpOp.Jgt, JmpOp.Jge, JmpOp.Jlt, JmpOp.Jle, JmpOp.Jset],
  ...[JmpOp.Jsgt, JmpOp.Jsge, JmpOp.Jslt, JmpOp.Jsle],
];
const jump: fc.Arbitrary<Piece> = fc
  .tuple(
    fc.constantFrom(...COMPARISONS),
    isWide,
    register,
    fc.option(register),
    immediate,
    fc.integer({ min: 1, max: 6 }),
  )
  .map(([op, wide, dst, src, imm, skip]) => {
    const code = (wide ? Class.Jmp : Class.Jmp32) | op;
    return { kind: "jump", skip, insn: src === null ? insn(code, dst, 0, 0, imm) : insn(code | Source.X, dst, src) };
  });

/** The function at the end of the program, by a distance that is filled in; two numbers in, one out. */
const call: fc.Arbitrary<Piece> = fc.tuple(register, register, register).map(
  ([a, b, to]): Piece => ({
    kind: "insns",
    insns: [
      ...[insn(Class.Alu64 | AluOp.Mov | Source.X, 1, a), insn(Class.Alu64 | AluOp.Mov | Source.X, 2, b)],
      ...[insn(Class.Jmp | JmpOp.Call, 0, 1, 0, CALL_MARK), insn(Class.Alu64 | AluOp.Mov | Source.X, to, 0)],
    ],
  }),
);
const CALL_MARK = 0x7ead_beef;

const back: fc.Arbitrary<Piece> = fc
  .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }))
  .map(([times, over]): Piece => ({ kind: "back", times, over }));

const maybe: fc.Arbitrary<Piece> = fc.integer({ min: 1, max: 5 }).map((over): Piece => ({ kind: "maybe", over }));

const next: fc.Arbitrary<Piece> = fc.integer({ min: 1, max: 5 }).map((over): Piece => ({ kind: "next", over }));

const pieces = (repeats: readonly { weight: number; arbitrary: fc.Arbitrary<Piece> }[]): fc.Arbitrary<Piece> =>
  fc.oneof(
    { weight: 6, arbitrary: arithmetic },
    { weight: 4, arbitrary: memory },
    { weight: 5, arbitrary: jump },
    { weight: 2, arbitrary: access },
    { weight: 1, arbitrary: call },
    { weight: 1, arbitrary: back },
    ...repeats,
  );

/** Slots of loop counters: out of the way of everything else. */
const counterSlot = (k: number): number => -128 - 8 * k;
/** The slot of the iterator. */
const ITERATOR_SLOT = -160;

/** A call of one of the iterator's functions; R1 points to it. */
const callIterator = (name: "new" | "next" | "destroy"): readonly Insn[] => [
  insn(Class.Alu64 | AluOp.Mov | Source.X, 1, 10),
  insn(Class.Alu64 | AluOp.Add, 1, 0, 0, ITERATOR_SLOT),
  insn(Class.Jmp | JmpOp.Call, 0, 2, 0, kernelId(`bpf_iter_num_${name}`)),
];
const BEGIN: readonly Insn[] = [
  insn(Class.Alu64 | AluOp.Mov, 2, 0, 0, 0),
  insn(Class.Alu64 | AluOp.Mov, 3, 0, 0, 9),
  ...callIterator("new"),
];
const END: readonly Insn[] = [...callIterator("destroy"), insn(Class.Alu64 | AluOp.Mov, 0, 0, 0, 0)];

/** Instructions of each kind of piece that is not a list of them. */
const PIECE_SIZES = { jump: 1, maybe: 2, back: 4, next: 6 } as const;

const expand = (pieces: readonly Piece[]): Insn[] => {
  const sizes = pieces.map((each) => (each.kind === "insns" ? each.insns.length : PIECE_SIZES[each.kind]));
  const starts: number[] = [];
  let at = 0;
  for (const size of sizes) {
    starts.push(at);
    at += size;
  }
  starts.push(at);
  let loops = 0;
  return pieces.flatMap((each, k): readonly Insn[] => {
    if (each.kind === "insns") return each.insns;
    const here = starts[k] ?? 0;
    if (each.kind === "jump") {
      const target = starts[Math.min(pieces.length, k + 1 + each.skip)] ?? at;
      return [{ ...each.insn, off: target - here - 1 }];
    }
    if (each.kind === "maybe") {
      const start = starts[Math.max(0, k - each.over)] ?? 0;
      return [insn(Class.Jmp | JmpOp.Jcond, 0, 0, 1), insn(Class.Jmp | JmpOp.Ja, 0, 0, start - here - 2)];
    }
    if (each.kind === "next") {
      const start = starts[Math.max(0, k - each.over)] ?? 0;
      const clear = insn(Class.Alu64 | AluOp.Mov, 0, 0, 0, 0);
      const back = insn(Class.Jmp | JmpOp.Ja, 0, 0, start - here - 6);
      return [...callIterator("next"), insn(Class.Jmp | JmpOp.Jeq, 0, 0, 2, 0), clear, back];
    }
    const slot = counterSlot(loops++);
    const target = starts[Math.max(0, k - each.over)] ?? 0;
    return [
      insn(Class.Ldx | Mode.Mem | Size.Dw, 1, 10, slot),
      insn(Class.Alu64 | AluOp.Add, 1, 0, 0, 1),
      insn(Class.Stx | Mode.Mem | Size.Dw, 10, 1, slot),
      insn(Class.Jmp | JmpOp.Jlt, 1, 0, target - here - 4, each.times),
    ];
  });
};

const PROLOGUE: readonly Insn[] = [
  ...[6, 7, 8, 9].map((dst, k) => insn(Class.Ldx | Mode.Mem | Size.Dw, dst, 1, 8 * k)),
  insn(Class.Ldx | Mode.Mem | Size.W, 0, 1, 32),
  ...[0, 1, 2, 3].map((k) => insn(Class.St | Mode.Mem | Size.Dw, 10, 0, counterSlot(k))),
];

const assemble = (main: readonly Piece[], helper: readonly Piece[], iterates: boolean): Insn[] => {
  const withFour = (pieces: readonly Piece[]): readonly Piece[] => {
    let loops = 0;
    return pieces.filter((each) => each.kind !== "back" || loops++ < 4);
  };
  const pieces = expand(withFour(main));
  const body = [...PROLOGUE, ...(iterates ? [...BEGIN, ...pieces, ...END] : pieces), insn(EXIT)];
  const functionBody = [
    ...[6, 7, 8, 9].map((dst, k) => insn(Class.Alu64 | AluOp.Mov | Source.X, dst, 1 + (k & 1))),
    insn(Class.Alu64 | AluOp.Mov, 0, 0, 0, 0),
    ...expand(helper.filter((each) => each.kind !== "back")),
    insn(EXIT),
  ];
  const calls = body.some(({ imm, code }) => code === (Class.Jmp | JmpOp.Call) && imm === CALL_MARK);
  const placed = body.map((each, at) =>
    each.code === (Class.Jmp | JmpOp.Call) && each.imm === CALL_MARK ? { ...each, imm: body.length - at - 1 } : each,
  );
  return calls ? [...placed, ...functionBody] : placed;
};

const programOf = (piece: fc.Arbitrary<Piece>, iterates = false): fc.Arbitrary<Insn[]> =>
  fc
    .tuple(
      fc.array(piece, { minLength: 3, maxLength: 24 }),
      fc.array(fc.oneof(arithmetic, memory, jump), { minLength: 1, maxLength: 6 }),
    )
    .map(([main, helper]) => assemble(main, helper, iterates));

/** Whole programs, of raw tracepoints. */
export const program = programOf(pieces([]));

/** Programs with loops that go on as often as they like. */
export const loopingProgram = programOf(pieces([{ weight: 2, arbitrary: maybe }]));

/** Programs with loops over the elements of an open-coded iterator. */
export const iteratingProgram = programOf(pieces([{ weight: 3, arbitrary: next }]), true);

const word = fc.oneof(
  fc.constantFrom(...EDGES.map((x) => BigInt.asUintN(64, BigInt(x)))),
  fc.constantFrom(1n << 32n, 1n << 63n, (1n << 63n) - 1n, 0xffff_ffffn, 0x8000_0000n, 0xffff_ffff_8000_0000n),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

/** What a run starts with. */
export const input = fc.record({
  context: fc.array(word, { minLength: CONTEXT_WORDS, maxLength: CONTEXT_WORDS }),
  value: fc.uint8Array({ minLength: VALUE_SIZE, maxLength: VALUE_SIZE }),
  seed: fc.integer({ min: 1, max: 0x7fff_ffff }),
});
