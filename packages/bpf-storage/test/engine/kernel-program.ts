import type { Insn } from "../../src/isa/insn.js";
import { Class, JmpOp, LD_IMM64, Mode, Pseudo, Size, Source } from "../../src/isa/opcodes.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { add, call, load, mov, set, store } from "./build.js";
import { type Dialect, insn, randomProgram, WINDOW } from "./random-program.js";
import { BOUNDARIES } from "./random-values.js";

/**
 * Random programs that a kernel's verifier accepts more often than not: their window is the value of a map, and beside what the engine executes by itself they
 * call helpers and touch packets. The value tells in the end what they have computed.
 */

type Next = () => number;

/** Bytes of a frame, of which the upper ones are used at random; between them and the counters of loops there is a place for the context. */
const [FRAME, LOCALS, LOOPS] = [104, 56, 4];
const CONTEXT = -LOCALS - 8;

const context = (register: number): Insn => load(Size.Dw, register, 10, CONTEXT);
/** A pointer to the window, or to the locals, with so many bytes behind it. */
const buffer = (next: Next, register: number, bytes: number): Insn[] =>
  next() % 2 === 0
    ? [mov(register, 9), add(register, next() % (WINDOW - bytes + 1))]
    : [mov(register, 10), add(register, -bytes - (next() % (LOCALS - bytes + 1)))];
const pick = <T>(next: Next, from: readonly T[]): T => from[next() % from.length] as T;
/** An offset in a packet, which may be beyond it. */
const offset = (next: Next): number =>
  next() % 8 === 0 ? Number(BigInt.asIntN(32, pick(next, BOUNDARIES))) : next() % 80;
const SIZES = [Size.B, Size.H, Size.W] as const;

const toNumber = (next: Next): Insn[] => {
  const size = 1 + (next() % 24);
  const text = [mov(1, 9), add(1, next() % (WINDOW - size + 1)), set(2, size)];
  // Digits now and then.
  for (let k = 0; next() % 2 === 0 && k < 3; k++)
    text.push(
      insn(Class.St | Mode.Mem | Size.B, {
        dst: 1,
        off: next() % size,
        imm: pick(next, [0x20, 0x2d, 0x30, 0x31, 0x39, 0x66, 0x78]),
      }),
    );
  const flags = pick(next, [0, 8, 10, 16, 16, 3, 32]);
  return [...text, set(3, flags), mov(4, 10), add(4, -8), call(next() % 2 === 0 ? 105 : 106)];
};

const probeRead = (next: Next): Insn[] => {
  const size = 1 + (next() % 24);
  return [...buffer(next, 1, size), set(2, size), mov(3, 9), add(3, next() % 400), call(113)];
};

const lookUp = (next: Next): Insn[] => [
  insn(Class.St | Mode.Mem | Size.W, { dst: 10, off: -8, imm: next() % 3 }),
  ...[mov(2, 10), add(2, -8), insn(LD_IMM64, { dst: 1, src: Pseudo.MapFd }), insn(0), call(1)],
  insn(Class.Jmp | JmpOp.Jeq | Source.K, { dst: 0, imm: 0, off: 1 }),
  load(Size.Dw, 0, 0, next() % (WINDOW - 8)),
];

const loadBytes = (next: Next, helper: number): Insn[] => {
  const size = 1 + (next() % 16);
  const relative = helper === 68 ? [set(5, next() % 3)] : [];
  return [context(1), set(2, offset(next)), ...buffer(next, 3, size), set(4, size), ...relative, call(helper)];
};

const storeBytes = (next: Next, helper: number): Insn[] => {
  const size = 1 + (next() % 16);
  const flags = helper === 9 ? [set(5, next() % 5)] : [];
  return [context(1), set(2, offset(next)), ...buffer(next, 3, size), set(4, size), ...flags, call(helper)];
};

const oldLoad = (next: Next): Insn[] => {
  const size = pick(next, SIZES);
  const base = pick(next, [0, 0, 0, -0x100000, -0x200000, -0x1000]);
  const indirect = next() % 2 === 0;
  // What is missing ends the program: seldom.
  const imm = (base + (next() % 8 === 0 ? offset(next) : next() % 30)) | 0;
  const loaded = indirect
    ? [set(7, next() % 16), insn(Class.Ld | Mode.Ind | size, { src: 7, imm })]
    : [insn(Class.Ld | Mode.Abs | size, { imm })];
  return [context(6), ...loaded, load(Size.Dw, 6, 9, 8)];
};

const checksum = (next: Next): Insn[] => {
  const bytes = pick(next, [0, 2, 4, 4, 2, 3]);
  const l4 = next() % 2 === 0;
  const flags = l4 ? bytes | (pick(next, [0, 1, 2, 3, 6]) << 4) : bytes;
  const from = bytes === 0 && next() % 4 !== 0 ? set(3, 0) : load(Size.Dw, 3, 9, 8 * (next() % 64));
  const at = 2 * (next() % 34);
  return [context(1), set(2, at), from, load(Size.Dw, 4, 9, 8 * (next() % 64)), set(5, flags), call(l4 ? 11 : 10)];
};

/** Loads and stores of a packet by its own pointers, which are at two fields of the context. */
const direct = (next: Next, data: number, end: number, write: boolean): Insn[] => {
  const size = pick(next, [...SIZES, Size.Dw]);
  const at = next() % 40;
  const [r, value] = [3, next() % 2 === 0 ? 6 : 0];
  const access = [load(size, value, r, at)];
  if (write) access.push(store(size, r, next() % 40, 7));
  return [
    ...[context(2), load(Size.W, r, 2, data), load(Size.W, 4, 2, end), mov(5, r), add(5, 48)],
    insn(Class.Jmp | JmpOp.Jgt | Source.X, { dst: 5, src: 4, off: access.length }),
    ...access,
  ];
};

/** Fields of `struct __sk_buff` that can be loaded; the first ones stored as well. */
const SKB_FIELDS = [8, 32, 48, 52, 56, 60, 64, 0, 4, 12, 16, 20, 24, 28, 36, 40, 44, 68, 164, 176];

const skbField = (next: Next, stores: readonly number[]): Insn[] => {
  const field = pick(next, SKB_FIELDS);
  const write = stores.includes(field) && next() % 2 === 0;
  return [context(2), write ? store(Size.W, 2, field, 7) : load(Size.W, 6, 2, field), load(Size.Dw, 2, 9, 0)];
};

/** Makes a packet longer or shorter at its end, or longer at its beginning. */
const resize = (next: Next): Insn[] =>
  next() % 2 === 0
    ? [context(1), set(2, next() % 100), set(3, next() % 8 === 0 ? 1 : 0), call(38)]
    : [context(1), set(2, next() % 20), set(3, 0), call(43)];

const xdpAdjust = (next: Next): Insn[] => {
  const helper = pick(next, [44, 54, 65]);
  const by = (next() % 61) - 30;
  return [context(1), set(2, helper === 54 ? 4 * (by >> 1) : by), call(helper)];
};

const COMMON = [toNumber, probeRead, lookUp];
const SKB = [(next: Next) => loadBytes(next, 26), (next: Next) => loadBytes(next, 68), oldLoad, oldLoad];
const CALLS: ReadonlyMap<number, readonly ((next: Next) => Insn[])[]> = new Map([
  [ProgramType.SocketFilter, [...SKB, (next: Next) => skbField(next, [48, 52, 56, 60, 64])]],
  [
    ProgramType.SchedCls,
    [
      ...[...SKB, checksum, checksum, resize, (next: Next) => storeBytes(next, 9)],
      (next: Next) => direct(next, 76, 80, true),
      (next: Next) => direct(next, 76, 80, true),
      (next: Next) => skbField(next, [8, 32, 48, 52, 56, 60, 64]),
      (next: Next) => [context(1), set(2, next() % 100), call(39)],
      (next: Next) => [set(1, next() % 4), set(2, next() % 4), call(23)],
    ],
  ],
  [
    ProgramType.Xdp,
    [
      ...[xdpAdjust, xdpAdjust, xdpAdjust, () => [context(1), call(188)]],
      ...[(next: Next) => loadBytes(next, 189), (next: Next) => storeBytes(next, 190)],
      (next: Next) => direct(next, 0, 4, true),
      (next: Next) => direct(next, 8, 0, false),
      (next: Next) => [set(1, next() % 4), set(2, next() % 2), call(23)],
    ],
  ],
]);

const dialect = (type: ProgramType): Dialect => ({
  ...{ frame: FRAME, locals: LOCALS, loops: LOOPS, strict: true },
  window: [insn(LD_IMM64, { dst: 9, src: Pseudo.MapValue }), insn(0)],
  prologue: [store(Size.Dw, 10, CONTEXT, 1)],
  epilogue: [0, 6, 7, 8].map((register, k) => store(Size.Dw, 9, 8 * k, register)),
  call: (next, main) => {
    const own = main ? (CALLS.get(type) ?? []) : [];
    return pick(next, next() % 4 === 0 || own.length === 0 ? COMMON : own)(next);
  },
});

/** Kinds of programs that there are random ones of. */
export const KERNEL_TYPES = [
  ...[ProgramType.SocketFilter, ProgramType.SchedCls, ProgramType.Xdp, ProgramType.RawTracepoint, ProgramType.Syscall],
] as const;

/** The program with a number. */
export const kernelProgram = (type: ProgramType, seed: number): { insns: Insn[]; subprograms: number[] } =>
  randomProgram(seed, true, dialect(type));
