import { ModuleBuilder } from "@vm/wasm";
import { describe, expect, it } from "vitest";
import * as S from "../src/state.js";
import { X87_HELPERS } from "../src/vcpu/helpers/x87/x87.js";
import { defineX87, X87_OPERATIONS } from "../src/x87/functions.js";
import { DONE, REFUSED } from "../src/x87/unit.js";
import { Random } from "../tools/random.js";
import { DATA, FakeMachine, RSI } from "./fake-machine.js";
import {
  FCW_INITIAL,
  full,
  INSTRUCTIONS,
  type Instruction,
  masked,
  type Preparation,
  prepare,
  room,
  simplify,
} from "./x87-cases.js";
import { beside, DISTANCES, EDGES, type F80, LIMITS, moderate, number, numberOf } from "./x87-operands.js";

/** Cases of one function, shared by the registers that it can be told. */
const CASES = 1400;
const CR0_EM = 4;
const CR0_TS = 8;
/** Bytes of memory that an operand may have. */
const OPERAND = 16;
/** Of the state block, what instructions can change; beyond are bounds of segments. */
const STATE = S.SEG_RANGE;

type Operation = (cpu: number, i: number, host: number) => number;

/** How often each instruction is to be tried. */
const times = ({ key }: Instruction): number =>
  Math.ceil(CASES / INSTRUCTIONS.filter((instruction) => instruction.key === key).length);

/** What tells a difference, for people. */
function describeState(state: Buffer): string {
  const fsw = state.readUInt16LE(S.FSW);
  const register = (k: number): string => {
    const at = S.FPR + 16 * (((fsw >> 11) + k) & 7);
    return `${state.readUInt16LE(at + 8).toString(16)}:${state.readBigUInt64LE(at).toString(16)}`;
  };
  const words = [S.FCW, S.FSW, S.FTW].map((at) => state.readUInt16LE(at).toString(16));
  const flags = [S.FR, S.FA].map((at) => state.readBigUInt64LE(at).toString(16));
  const registers = Array.from({ length: 8 }, (_, k) => register(k));
  return [...words, ...registers, ...flags, state.subarray(STATE).toString("hex")].join(" ");
}

/** A vCPU for the helpers, and a copy of its state and its operand for the functions. */
class Pair {
  readonly #machine = new FakeMachine();
  readonly vcpu = this.#machine.vcpu;
  readonly #state = Buffer.from(this.vcpu.memory.buffer, this.vcpu.base, STATE);
  readonly #operand = Buffer.from(this.#machine.ram.buffer, this.#machine.ram.byteOffset + DATA, OPERAND);
  readonly #copy: Buffer;
  readonly #functions: Readonly<Record<string, Operation>>;

  constructor() {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const m = new ModuleBuilder();
    m.importMemory("test", "memory", { min: 1 });
    for (const [k, f] of defineX87(m).entries()) m.exportFunction(X87_OPERATIONS[k] as string, f);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()), { test: { memory } });
    this.#functions = exports as Record<string, Operation>;
    this.#copy = Buffer.from(memory.buffer, 0, STATE + OPERAND);
    this.vcpu.setReg(RSI, DATA, 0);
  }

  /** See `x87-cases.ts`. */
  prepare(...how: Preparation): void {
    prepare(this.#machine, ...how);
  }

  simplify(key: string): void {
    simplify(this.#machine, key);
  }

  /** @returns what the function answers, after a look that it changed the copy as the helper changes the vCPU, and not at all if it refused */
  run({ insn, key, i }: Instruction): number {
    const [state, operand, copy] = [this.#state, this.#operand, this.#copy];
    copy.set(state);
    copy.set(operand, STATE);
    const before = Buffer.from(copy);
    const answer = (this.#functions[key] as Operation)(0, i, STATE);
    if (answer !== REFUSED) {
      X87_HELPERS[insn.op]?.(this.vcpu, { insn, name: insn.op });
      // What a helper's store that misses the TLB leaves there is nobody's.
      state.fill(0, S.SCRATCH, S.XTMP);
    }
    if (!state.equals(copy.subarray(0, STATE)) || !operand.equals(copy.subarray(STATE))) {
      const helper = describeState(Buffer.concat([state, operand]));
      expect.fail(`${key} ${i} of ${describeState(before)}: ${describeState(copy)}, helper ${helper}`);
    }
    return answer;
  }
}

describe("an x87 instruction as a wasm function", () => {
  const pair = new Pair();
  const { vcpu } = pair;

  it("does exactly what the helper does, or refuses and changes nothing", () => {
    const random = new Random(87);
    let done = 0;
    for (const instruction of INSTRUCTIONS)
      for (let k = times(instruction); k > 0; k--) {
        const first = number(random);
        const other = random.below(2) > 0 ? beside(random, first) : number(random);
        const fcw = random.below(16) > 0 ? masked(random) : 0x40 | random.below(0x1000);
        const any = random.below(256);
        const tags = random.pick([full, room, room, () => any]);
        pair.prepare(random, fcw, tags, (st) => (st === 0 ? first : other));
        if (pair.run(instruction) === DONE) done++;
      }
    expect(done).toBeGreaterThan(90_000);
  });

  it("does so at the edges, of one number and of two", () => {
    const random = new Random(91);
    const run = (instruction: Instruction, a: F80, b: F80): void => {
      const fcw = random.below(2) > 0 ? FCW_INITIAL : masked(random);
      pair.prepare(random, fcw, full, (k) => (k === 0 ? a : b));
      pair.run(instruction);
    };
    const signed = (bits: bigint, exponent: number): F80 => numberOf(bits, exponent, random.below(2) > 0);
    const named = (keys: string): Instruction[] =>
      keys
        .split(" ")
        .flatMap((key) => INSTRUCTIONS.filter((known) => known.key === key && known.i === +key.endsWith("i")));
    const one = named("frndint fsqrt fst.m4 fst.m8 fist.m2 fist.m4 fistp.m8 fisttp.m2 fisttp.m4 fisttp.m8");
    for (const instruction of one)
      for (const bits of EDGES)
        for (const exponent of LIMITS) {
          const number = signed(bits, exponent);
          run(instruction, number, number);
        }
    const two = named("fadd.0i fsub.0i fmul.0i fdiv.0i fcom.0i fprem fprem1");
    for (const instruction of two)
      for (const a of EDGES)
        for (const b of EDGES) for (const distance of DISTANCES) run(instruction, signed(a, distance), signed(b, 0));
    expect(new Set([...one, ...two].map(({ key }) => key)).size).toBe(17);
  });

  it("does itself what is ordinary, with every rounding and precision, but constants that are rounded only to nearest", () => {
    const random = new Random(88);
    // The register that a push takes is empty.
    const sourced = INSTRUCTIONS.filter(({ key, i }) => key !== "fld.i" || i !== 7);
    const refused = sourced.flatMap((instruction) => {
      const { key } = instruction;
      return Array.from({ length: 16 }, (_, k) => (k << 8) | 0x7f)
        .filter((fcw) => {
          pair.prepare(random, fcw, /^(fi?ld(?!cw)|fxtract)/.test(key) ? room : full, () => moderate(random));
          pair.simplify(key);
          return pair.run(instruction) === REFUSED;
        })
        .map((fcw) => `${key} ${fcw >> 10}`);
    });
    const constants = ["fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2"];
    expect([...new Set(refused)]).toEqual(constants.flatMap((key) => [1, 2, 3].map((rc) => `${key} ${rc}`)));
  });

  it("refuses while CR0.TS or CR0.EM is set", () => {
    const { cr0 } = vcpu;
    const random = new Random(89);
    for (const bit of [CR0_TS, CR0_EM]) {
      vcpu.cr0 = cr0 | bit;
      vcpu.updateUnits();
      for (const instruction of INSTRUCTIONS) {
        pair.prepare(random, FCW_INITIAL, room, () => moderate(random));
        expect(pair.run(instruction)).toBe(REFUSED);
      }
    }
    vcpu.cr0 = cr0;
    vcpu.updateUnits();
  });

  it("refuses where an exception is not masked, unless it does not wait", () => {
    const random = new Random(90);
    for (const instruction of INSTRUCTIONS)
      for (const bit of [1, 2, 4, 8, 0x10, 0x20]) {
        pair.prepare(random, FCW_INITIAL & ~bit, room, () => moderate(random));
        const waiting = instruction.key === "fnop" || !instruction.key.startsWith("fn");
        expect(pair.run(instruction)).toBe(waiting ? REFUSED : DONE);
      }
  });
});
