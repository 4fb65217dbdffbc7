import type { Insn } from "../../src/isa/insn.js";
import { Class, Mode, Size } from "../../src/isa/opcodes.js";
import { ProgramType } from "../../src/uapi/program-types.js";
import { add, call, load, mov, set } from "./build.js";
import { keep, type NamedCase, program } from "./kernel-case.js";
import { insn } from "./random-program.js";

/** Programs that say in their map what helpers of strings, sums and dynptrs tell them. */

const text = (value: string): Uint8Array => {
  const bytes = new Uint8Array(512);
  bytes.set(Buffer.from(value, "latin1"));
  return bytes;
};

const syscall = (name: string, value: Uint8Array, ...body: readonly Insn[]): NamedCase => ({
  ...{ name, type: ProgramType.Syscall, insns: program(...body), data: new Uint8Array() },
  ...{ context: new Uint8Array(8), value },
});

const NUMBERS: readonly string[] = [
  ...[
    "0",
    "-1",
    "  42x",
    "\t\n\v\f\r7",
    "\u00a07",
    "0x1f",
    "0X1F",
    "0xg",
    "0x",
    "07",
    "08",
    "-0x10",
    "--1",
    "-",
    "",
    " ",
    "+5",
  ],
  ...["9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"],
  ...["18446744073709551615", "18446744073709551616", "ffffffffffffffff", "10000000000000000", "777"],
  ...["0".repeat(70), `${"0".repeat(63)}1`, `${" ".repeat(20)}5`, "12z", "abcdefg", "0x-1"],
];

const numbers = (): NamedCase[] =>
  NUMBERS.flatMap((number) =>
    [0, 8, 10, 16, 2, 32].flatMap((base) =>
      [105, 106].map((helper) => {
        const size = Math.max(1, number.length);
        const body = [mov(1, 9), set(2, size), set(3, base), mov(4, 10), add(4, -8), call(helper)];
        const told = [keep(0), load(Size.Dw, 0, 10, -8), keep(1)];
        return syscall(`strto ${helper} ${JSON.stringify(number)} base ${base}`, text(number), ...body, ...told);
      }),
    ),
  );

/** A dynptr of so many bytes of the map at fp - 16; then reads, writes and places at offsets. */
const dynptrs = (): NamedCase[] => {
  const bytes = Uint8Array.from({ length: 512 }, (_, k) => k);
  const make = (size: number, flags: number): Insn[] => [
    ...[mov(1, 9), set(2, size), set(3, flags), mov(4, 10), add(4, -16), call(197), keep(0)],
  ];
  const at = (register: number): Insn[] => [mov(register, 10), add(register, -16)];
  const cases: NamedCase[] = [];
  for (const size of [0, 1, 16, 64])
    for (const flags of [0, 1])
      for (const offset of [0, 1, 8, 60, 63, 64, 65, -1])
        for (const length of [1, 4, 8]) {
          const zero = [8, 16, 24].map((down) => insn(Class.St | Mode.Mem | Size.Dw, { dst: 10, off: -16 - down }));
          const read = [
            mov(1, 10),
            add(1, -32),
            set(2, length),
            ...at(3),
            set(4, offset),
            set(5, 0),
            call(201),
            keep(1),
          ];
          const told = [load(Size.Dw, 0, 10, -32), keep(2)];
          const write = [
            ...at(1),
            set(2, offset),
            mov(3, 9),
            add(3, 200),
            set(4, length),
            set(5, 0),
            call(202),
            keep(3),
          ];
          const flagged = [
            ...at(1),
            set(2, offset),
            mov(3, 9),
            add(3, 200),
            set(4, length),
            set(5, 1),
            call(202),
            keep(4),
          ];
          const data = [...at(1), set(2, offset), set(3, length), call(203)];
          const byte = [
            insn(0x15, { dst: 0, off: 2 }),
            load(Size.B, 0, 0, 0),
            insn(0x05, { off: 1 }),
            set(0, -1),
            keep(5),
          ];
          const name = `dynptr of ${size} flags ${flags}, ${length} at ${offset}`;
          cases.push(
            syscall(
              name,
              bytes,
              ...make(size, flags),
              ...zero,
              ...read,
              ...told,
              ...write,
              ...flagged,
              ...data,
              ...byte,
            ),
          );
        }
  return cases;
};

/** Differences of sums, folded to 16 bits, as linux 6.18 gives them and 6.12 does not. */
const differences = (): NamedCase[] => {
  const value = Uint8Array.from({ length: 512 }, (_, k) => 197 * k + (k >> 3));
  value.fill(0, 0, 32);
  const fold = [
    mov(1, 0),
    insn(0x77, { dst: 1, imm: 16 }),
    insn(0x57, { dst: 0, imm: 0xffff }),
    insn(0x0f, { src: 1 }),
  ];
  const part = (register: number, at: number, size: number): Insn[] =>
    size === 0
      ? [set(register, 0), set(register + 1, 0)]
      : [mov(register, 9), add(register, at), set(register + 1, size)];
  const cases: NamedCase[] = [];
  for (const [from, to] of [
    [0, 64],
    [64, 0],
    [64, 64],
    [32, 100],
    [4, 252],
  ] as const)
    for (const at of [32, 40, 129])
      for (const seed of [1, -1, 0x12345678]) {
        const difference = [...part(1, at, from), ...part(3, 2 * at, to), set(5, seed), call(28)];
        const body = [...difference, ...fold, ...fold, keep(0)];
        cases.push({
          ...{
            name: `csum_diff ${from}-${to} at ${at} from ${seed}`,
            type: ProgramType.SchedCls,
            insns: program(...body),
          },
          ...{ data: new Uint8Array(60), context: new Uint8Array(), value },
        });
      }
  return cases;
};

export const valueCases = (): NamedCase[] => [...differences(), ...numbers(), ...dynptrs()];
