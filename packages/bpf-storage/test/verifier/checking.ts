import type { Insn } from "../../src/isa/insn.js";
import {
  AluOp,
  accessSize,
  CALL,
  CallKind,
  CLASS_MASK,
  Class,
  EXIT,
  JmpOp,
  LD_IMM64,
  MODE_MASK,
  Mode,
  OP_MASK,
  Pseudo,
  Source,
} from "../../src/isa/opcodes.js";
import { aluConcrete, jumpConcrete } from "./concrete.js";
import { kernelId } from "./kfunc-kernel.js";

/**
 * An interpreter that trusts nobody: it runs programs of generated tests on plain numbers, checks every access, and shows each instruction's
 * registers before it runs. Pointers are kept apart from numbers.
 */
export type Value =
  | { readonly kind: "number"; readonly n: bigint }
  | { readonly kind: "stack"; readonly frame: number; readonly at: bigint }
  | { readonly kind: "map"; readonly at: bigint }
  | { readonly kind: "ctx"; readonly at: bigint }
  /** What an iterator shows; these tests only ask whether it is there. */
  | { readonly kind: "element"; readonly at: bigint };

export interface RunFrame {
  readonly regs: (Value | undefined)[];
  /** 512 bytes; the last is next to the frame pointer. */
  readonly stack: Uint8Array;
  /** Spilled pointers, by offset from the frame pointer. */
  readonly pointers: Map<number, Value>;
  readonly returnTo: number;
}

export interface Machine {
  readonly insns: readonly Insn[];
  /** 64-bit words of the context. */
  readonly context: readonly bigint[];
  /** Bytes of the map's value. */
  readonly value: Uint8Array;
  /** What uninitialised stack holds. */
  readonly fill: () => number;
  /** Called before each instruction. */
  readonly show: (pc: number, frames: readonly RunFrame[]) => void;
}

/** A program that was accepted did what it may not. */
export class Violation extends Error {
  override readonly name = "Violation";
}

const number = (n: bigint): Value => ({ kind: "number", n: BigInt.asUintN(64, n) });

const STEPS = 20_000;

const newFrame = (machine: Machine, index: number, returnTo: number): RunFrame => {
  const regs = new Array<Value | undefined>(11).fill(undefined);
  regs[10] = { kind: "stack", frame: index, at: 0n };
  return { regs, stack: Uint8Array.from({ length: 512 }, () => machine.fill()), pointers: new Map(), returnTo };
};

/** Runs to the end. @throws {Violation} for anything that a verified program never does */
export const runChecked = (machine: Machine): void => {
  const frames = [newFrame(machine, 0, -1)];
  let pc = 0;
  const frame = (): RunFrame => frames[frames.length - 1] as RunFrame;
  const get = (index: number): Value => {
    const value = frame().regs[index];
    if (value === undefined) throw new Violation(`insn ${pc} reads R${index}, which nothing wrote`);
    return value;
  };
  const numberOf = (index: number): bigint => {
    const value = get(index);
    // The address of something is a number that nobody knows; these tests do no arithmetic on it.
    if (value.kind !== "number") throw new Violation(`insn ${pc} uses the address in R${index} as a number`);
    return value.n;
  };
  const bytesAt = (base: Value, off: number, size: number): { bytes: Uint8Array; at: number; frame?: RunFrame } => {
    if (base.kind === "number") throw new Violation(`insn ${pc} uses the number ${base.n} as an address`);
    const at = Number(BigInt.asIntN(64, base.at)) + off;
    if (base.kind === "stack") {
      if (at < -512 || at + size > 0) throw new Violation(`insn ${pc} leaves the stack: ${at} size ${size}`);
      const owner = frames[base.frame] as RunFrame;
      return { bytes: owner.stack, at: at + 512, frame: owner };
    }
    const length = base.kind === "map" ? machine.value.length : machine.context.length * 8;
    if (at < 0 || at + size > length) throw new Violation(`insn ${pc} leaves its ${base.kind}: ${at} size ${size}`);
    if (base.kind === "map") return { bytes: machine.value, at };
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    machine.context.forEach((word, k) => {
      view.setBigUint64(k * 8, word, true);
    });
    return { bytes, at };
  };
  const load = (base: Value, off: number, size: number, signExtends: boolean): Value => {
    const { bytes, at, frame: owner } = bytesAt(base, off, size);
    const spilled = size === 8 ? owner?.pointers.get(at) : undefined;
    if (spilled !== undefined) return spilled;
    let n = 0n;
    for (let k = size - 1; k >= 0; k--) n = (n << 8n) | BigInt(bytes[at + k] ?? 0);
    return number(signExtends ? BigInt.asIntN(size * 8, n) : n);
  };
  const store = (base: Value, off: number, size: number, value: Value): void => {
    const { bytes, at, frame: owner } = bytesAt(base, off, size);
    for (const key of owner?.pointers.keys() ?? []) if (key < at + size && key + 8 > at) owner?.pointers.delete(key);
    if (value.kind !== "number") {
      if (owner === undefined || size !== 8) throw new Violation(`insn ${pc} stores an address where it may not`);
      owner.pointers.set(at, value);
      return;
    }
    for (let k = 0; k < size; k++) bytes[at + k] = Number((value.n >> BigInt(8 * k)) & 0xffn);
  };
  const arithmetic = (insn: Insn): Value => {
    const bits = (insn.code & CLASS_MASK) === Class.Alu64 ? 64 : 32;
    const op = insn.code & OP_MASK;
    const byRegister = (insn.code & Source.X) !== 0;
    if (op === AluOp.Mov && byRegister) {
      const from = get(insn.src);
      if (bits === 64 && insn.off === 0) return from;
      const n = numberOf(insn.src);
      return number(BigInt.asUintN(bits, insn.off === 0 ? n : BigInt.asIntN(insn.off, n)));
    }
    if (op === AluOp.Mov) return number(BigInt.asUintN(bits, BigInt(insn.imm)));
    if (op === AluOp.Neg) return number(aluConcrete(op, numberOf(insn.dst), 0n, bits));
    if (op === AluOp.End) return number(swap(numberOf(insn.dst), insn.imm, bits === 64 || byRegister));
    const dst = get(insn.dst);
    const operand = byRegister ? get(insn.src) : number(BigInt(insn.imm));
    if (dst.kind !== "number" && operand.kind === "number") {
      if (bits !== 64 || (op !== AluOp.Add && op !== AluOp.Sub))
        throw new Violation(`insn ${pc}: arithmetic on an address`);
      return { ...dst, at: BigInt.asUintN(64, op === AluOp.Add ? dst.at + operand.n : dst.at - operand.n) };
    }
    if (operand.kind !== "number") throw new Violation(`insn ${pc}: arithmetic with an address`);
    return number(aluConcrete(op, numberOf(insn.dst), operand.n, bits, insn.off === 1));
  };
  /** Elements that the iterator has left; undefined where there is none. */
  let left: number | undefined;
  const iterate = (id: number): void => {
    const called = ["new", "next", "destroy"].find((name) => kernelId(`bpf_iter_num_${name}`) === id);
    const isThere = left !== undefined;
    if (called === undefined || isThere === (called === "new"))
      throw new Violation(`insn ${pc} calls function ${id} of an iterator that is ${isThere ? "" : "not "}there`);
    for (let k = 0; k <= 5; k++) frame().regs[k] = undefined;
    if (called === "destroy") {
      left = undefined;
      return;
    }
    if (called === "new") {
      left = machine.fill() % 9;
      frame().regs[0] = number(0n);
      return;
    }
    const has = (left ?? 0) > 0;
    frame().regs[0] = has ? { kind: "element", at: 0n } : number(0n);
    if (has) left = (left ?? 0) - 1;
  };
  frame().regs[1] = { kind: "ctx", at: 0n };
  for (let steps = 0; steps < STEPS; steps++) {
    const insn = machine.insns[pc];
    if (insn === undefined) throw new Violation(`control leaves the program: ${pc}`);
    machine.show(pc, frames);
    switch (insn.code & CLASS_MASK) {
      case Class.Alu:
      case Class.Alu64:
        frame().regs[insn.dst] = arithmetic(insn);
        pc++;
        continue;
      case Class.Ldx:
        frame().regs[insn.dst] = load(
          get(insn.src),
          insn.off,
          accessSize(insn.code),
          (insn.code & MODE_MASK) === Mode.MemSx,
        );
        pc++;
        continue;
      case Class.St:
        store(get(insn.dst), insn.off, accessSize(insn.code), number(BigInt(insn.imm)));
        pc++;
        continue;
      case Class.Stx:
        store(get(insn.dst), insn.off, accessSize(insn.code), get(insn.src));
        pc++;
        continue;
      case Class.Ld: {
        const high = machine.insns[pc + 1]?.imm ?? 0;
        if (insn.code !== LD_IMM64) throw new Violation("packets are not known here");
        frame().regs[insn.dst] =
          insn.src === Pseudo.MapValue
            ? { kind: "map", at: BigInt(high) }
            : number((BigInt(high >>> 0) << 32n) | BigInt(insn.imm >>> 0));
        pc += 2;
        continue;
      }
    }
    if (insn.code === EXIT) {
      const result = get(0);
      const gone = frames.pop() as RunFrame;
      if (frames.length === 0) return;
      frame().regs[0] = result;
      for (let k = 1; k <= 5; k++) frame().regs[k] = undefined;
      pc = gone.returnTo;
      continue;
    }
    if (insn.code === CALL && insn.src === CallKind.Local) {
      const caller = frame();
      frames.push(newFrame(machine, frames.length, pc + 1));
      for (let k = 1; k <= 5; k++) frame().regs[k] = caller.regs[k];
      pc += 1 + insn.imm;
      continue;
    }
    if (insn.code === CALL && insn.src === CallKind.Kfunc) {
      iterate(insn.imm);
      pc++;
      continue;
    }
    const is32 = (insn.code & CLASS_MASK) === Class.Jmp32;
    if (get(insn.dst).kind === "element" && insn.imm === 0 && (insn.code & OP_MASK) === JmpOp.Jeq) {
      pc++;
      continue;
    }
    if ((insn.code & OP_MASK) === JmpOp.Ja) {
      pc += 1 + (is32 ? insn.imm : insn.off);
      continue;
    }
    if ((insn.code & OP_MASK) === JmpOp.Jcond) {
      // As often as it likes, but not for ever.
      pc += 1 + (machine.fill() % 3 === 0 || steps > STEPS / 2 ? insn.off : 0);
      continue;
    }
    const right = (insn.code & Source.X) !== 0 ? numberOf(insn.src) : BigInt(insn.imm);
    pc += 1 + (jumpConcrete(insn.code & OP_MASK, numberOf(insn.dst), BigInt.asUintN(64, right), is32) ? insn.off : 0);
  }
};

/** Bytes of the lower `bits` in the other order, or as they are; the rest is zero. */
const swap = (n: bigint, bits: number, reverses: boolean): bigint => {
  const low = BigInt.asUintN(bits, n);
  if (!reverses) return low;
  let out = 0n;
  for (let k = 0; k < bits; k += 8) out = (out << 8n) | ((low >> BigInt(k)) & 0xffn);
  return out;
};
