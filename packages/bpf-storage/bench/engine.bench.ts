/** Nanoseconds that an instruction takes in loops of arithmetic and of loads and stores, in both engines: best of several runs. */
import { BpfRuntime, type Insn, ProgramType } from "../src/index.js";

const ROUNDS = 6;
const TURNS = { jit: 10_000_000, interpreter: 2_000_000 } as const;

const insn = (code: number, dst: number, src: number, off: number, imm: number): Insn => ({ code, dst, src, off, imm });
const [ADD, MUL, XOR, RSH, SUB, LSH] = [0x07, 0x27, 0xa7, 0x77, 0x17, 0x67];
/** The same in 32 bits. */
const narrow = (code: number): number => (code & 0xf8) | 0x04;

const arithmetic = (width: (code: number) => number): Insn[] => [
  insn(width(ADD), 0, 0, 0, 7),
  insn(width(MUL), 0, 0, 0, 31),
  insn(width(XOR), 0, 0, 0, 0x55aa),
  insn(width(RSH), 2, 0, 0, 1),
  insn(width(ADD) | 8, 2, 0, 0, 0),
];
/** Loads and stores behind a register, eight bytes each. */
const accesses = (base: number, off: number): Insn[] => [
  insn(0x79, 3, base, off, 0),
  insn(ADD, 3, 0, 0, 1),
  insn(0x7b, base, 3, off, 0),
  insn(0x79, 4, base, off - 8, 0),
  insn(ADD | 8, 4, 3, 0, 0),
  insn(LSH, 4, 0, 0, 1),
  insn(0x7b, base, 4, off - 8, 0),
];
const LOOPS: Readonly<Record<string, readonly Insn[]>> = {
  alu64: arithmetic((code) => code),
  alu32: arithmetic(narrow),
  mem: accesses(1, 8),
  stack: accesses(10, -8),
};

function measure(body: readonly Insn[], engine: "jit" | "interpreter"): number {
  const runtime = new BpfRuntime({ engine });
  const turns = TURNS[engine];
  const insns = [
    insn(0xb7, 6, 0, 0, turns),
    insn(0xb7, 0, 0, 0, 1),
    insn(0xb7, 2, 0, 0, 1),
    insn(0x7a, 10, 0, -8, 0),
    insn(0x7a, 10, 0, -16, 0),
    ...body,
    insn(SUB, 6, 0, 0, 1),
    insn(0x55, 6, 0, -(body.length + 2), 0),
    insn(0x95, 0, 0, 0, 0),
  ];
  const program = runtime.load({
    ...{ name: "bench", type: ProgramType.Syscall, recur: false, insns, subprograms: [0], trusted: true },
  });
  const data = runtime.arena.alloc(64);
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    program.run(data);
    least = Math.min(least, ((performance.now() - from) * 1e6) / (turns * (body.length + 2)));
  }
  return least;
}

process.stdout.write(
  `ns an instruction, best of ${ROUNDS}\n${"".padEnd(10)}${"jit".padEnd(10)}${"interpreter".padEnd(14)}ratio\n`,
);
for (const [name, body] of Object.entries(LOOPS)) {
  const [jit, interpreter] = [measure(body, "jit"), measure(body, "interpreter")];
  const cells = [name.padEnd(10), jit.toFixed(3).padEnd(10), interpreter.toFixed(2).padEnd(14)];
  process.stdout.write(`${cells.join("")}${(interpreter / jit).toFixed(1)}\n`);
}
