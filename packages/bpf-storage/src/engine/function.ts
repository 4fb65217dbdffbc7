import { type Expr, type FunctionBuilder, i32, i64, type Local } from "@vm/wasm";
import type { Insn } from "../isa/insn.js";
import { FP, PACKET } from "../isa/opcodes.js";
import { pointerTo } from "./access.js";
import { condition, mayGoto } from "./comparison.js";
import { FaultNumber } from "./faults.js";
import type { Functions, Target } from "./jit.js";
import { CALL_BYTES, CALL_RESULT, MAX_LOOPS } from "./layout.js";
import type { Machine, Role } from "./machine.js";
import { isStraight, perform } from "./meaning.js";
import type { Bytes, Operation } from "./operation.js";
import { isMissing, packetOffset } from "./packet.js";
import { type Analyzed, type Block, callRegister, type Subprogram } from "./program.js";

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** Writes one function of a program; its registers are locals. Nothing of r1 to r5 changes by a call, so that engines agree on what programs must not ask for. */
export class FunctionWriter implements Machine {
  readonly frame: Local<"i32">;
  readonly counter: Machine["counter"];
  readonly #registers: Local<"i64">[];
  readonly #fp: Local<"i32">;
  readonly #fuel: Local<"i32">;
  readonly #counter: Local<"i32">;
  #insn: Insn;
  #pc = 0;
  #frameBytes = 0;

  constructor(
    readonly f: FunctionBuilder,
    readonly program: Analyzed,
    readonly target: Target,
    readonly functions: Functions,
  ) {
    const r0 = f.local("i64");
    const saved = [6, 7, 8, 9].map(() => f.local("i64"));
    this.#registers = [r0, ...[0, 1, 2, 3, 4].map((k) => f.param<"i64">(k)), ...saved];
    this.#fp = f.param<"i32">(5);
    this.frame = f.local("i32");
    this.#fuel = f.local("i32");
    this.#counter = f.local("i32");
    this.counter = { get: () => this.#counter, set: (value) => f.set(this.#counter, value) };
    this.#insn = program.insns[0] as Insn;
  }

  /** What comes before the first block. */
  prologue({ first, end, frame: bytes }: Subprogram): void {
    const { f, frame, target } = this;
    const { state, mode, metered } = target;
    this.#frameBytes = bytes;
    f.set(frame, i32.sub(this.#fp, i32.const(bytes)));
    const fault = (kind: number): void => this.#fault(kind, first);
    const lowest = i32.const(state.area.lowestFrame);
    f.if(i32.lt_u(frame, lowest), () => fault(FaultNumber.stack));
    if (mode === "checked") {
      f.if(i32.lt_u(frame, state.get32("floor")), () => fault(FaultNumber.depth));
      f.memoryFill(frame, i32.const(0), i32.const(bytes));
    }
    if (metered) f.set(this.#fuel, state.get32("fuel"));
    if (this.program.operations.slice(first, end).some((operation) => operation?.kind === "may_goto"))
      f.set(this.#counter, i32.const(MAX_LOOPS));
  }

  /** The instructions of a block; the condition on which its last one jumps, or null. */
  block({ first, end, count }: Block): I32 | null {
    const { f, target, program } = this;
    if (target.metered) {
      f.set(this.#fuel, i32.sub(this.#fuel, i32.const(count)));
      f.if(i32.lt_s(this.#fuel, i32.const(0)), () => this.#fault(FaultNumber.budget, first));
    }
    for (let pc = first; pc < end; pc++) {
      const operation = program.operations[pc];
      if (operation === null || operation === undefined) continue;
      this.#pc = pc;
      this.#insn = program.insns[pc] as Insn;
      if (operation.kind === "compare") return condition(this, operation.op, operation.wide, operation.immediate);
      if (operation.kind === "may_goto") return this.#mayGoto();
      f.scope(() => this.#instruction(operation));
    }
    return null;
  }

  #mayGoto(): I32 {
    const taken = this.f.local("i32");
    this.f.scope(() => this.f.set(taken, mayGoto(this)));
    return taken;
  }

  #instruction(operation: Operation): void {
    const { f, functions, target } = this;
    if (isStraight(operation)) {
      perform(this, functions, target.mode, operation);
      return;
    }
    switch (operation.kind) {
      case "constant":
        this.set64("dst", i64.const2(this.#insn.imm, this.program.insns[this.#pc + 1]?.imm ?? 0));
        break;
      case "function":
        this.set64("dst", i64.const(target.entry + this.#subprogram()));
        break;
      case "exit":
        this.#spend();
        f.return(this.#register(0));
        break;
      case "packet":
        this.#packet(operation);
        break;
      case "local": {
        const func = functions.subprograms[this.#subprogram()];
        if (func === undefined) break;
        this.#spend();
        f.set(this.#register(0), f.call<"i64">(func, ...this.#arguments(), this.frame));
        this.#refuel();
        break;
      }
      case "helper":
      case "kfunc":
        this.#call();
        break;
      case "indirect": {
        const { indirect } = functions;
        if (indirect === null) break;
        const number = f.let("i64", this.#register(callRegister(this.#insn)));
        const [low, high] = [i32.wrap_i64(number), i32.wrap_i64(i64.shr_u(number, i64.const(32)))];
        this.#callHost((at) => f.do(f.call(indirect, low, high, at, this.pc())));
      }
    }
  }

  #packet({ size, indirect }: Extract<Operation, { kind: "packet" }>): void {
    const { f, functions, target } = this;
    const context = this.#register(PACKET);
    const offset = packetOffset(indirect, this.immediate32(), () => this.get32("src"));
    const value =
      target.mode === "trusted"
        ? f.call<"i64">(functions.packet, context, offset, i32.const(size))
        : f.call<"i64">(functions.packetChecked, context, offset, i32.const(size), this.pc(), this.frame);
    f.set(this.#register(0), value);
    f.if(isMissing(this.#register(0)), () => {
      this.#spend();
      f.return(i64.const(0));
    });
  }

  /** A call by number. */
  #call(): void {
    const { f, functions, target } = this;
    const called = functions.callees.get(this.#pc);
    if (called === undefined) return;
    const { callee, func } = called;
    if (func === null) {
      const program = f.let("i32", f.call<"i32">(functions.tailTarget, this.#register(2), this.#register(3)));
      f.if(program, () => {
        this.#spend();
        f.return(f.call(functions.tailCall, program, this.#register(1), this.#fp));
      });
    } else if (callee.kind === "wasm") {
      this.#spend();
      target.state.set32(f, "sp", this.frame);
      f.set(this.#register(0), f.call<"i64">(func, ...this.#arguments()));
      this.#refuel();
    } else this.#callHost((at) => f.do(f.call(func, at)));
  }

  /** Calls what takes its arguments in memory, below the frame. */
  #callHost(call: (at: I32) => void): void {
    const { f } = this;
    const at = f.let("i32", i32.sub(this.frame, i32.const(CALL_BYTES)));
    this.#arguments().forEach((value, k) => {
      f.store("i64.store", at, value, 8 * k);
    });
    this.target.state.set32(f, "sp", at);
    this.#spend();
    call(at);
    this.#refuel();
    f.set(this.#register(0), i64.load(at, CALL_RESULT));
  }

  /** Number of the function that the instruction names. */
  #subprogram(): number {
    return this.program.functionAt.get(this.#pc + 1 + this.#insn.imm) ?? 0;
  }

  #arguments(): Local<"i64">[] {
    return this.#registers.slice(1, 6);
  }

  /** What was executed is noted for others. */
  #spend(): void {
    if (this.target.metered) this.target.state.set32(this.f, "fuel", this.#fuel);
  }

  #refuel(): void {
    if (this.target.metered) this.f.set(this.#fuel, this.target.state.get32("fuel"));
  }

  #fault(kind: number, pc: number): void {
    this.f.do(this.f.call(this.functions.fault, i32.const(kind), i32.const(pc), i64.const(0)));
    this.f.unreachable();
  }

  #register(number: number): Local<"i64"> {
    return this.#registers[number] as Local<"i64">;
  }

  #number(role: Role): number {
    return role === "r0" ? 0 : this.#insn[role];
  }

  get64(role: Role): I64 {
    const number = this.#number(role);
    return number === FP ? pointerTo(this.#fp) : this.#register(number);
  }

  get32(role: Role): I32 {
    const number = this.#number(role);
    return number === FP ? this.#fp : i32.wrap_i64(this.#register(number));
  }

  set64(role: Role, value: I64): void {
    this.f.set(this.#register(this.#number(role)), value);
  }

  set32(role: Role, value: I32): void {
    this.set64(role, i64.extend_i32_u(value));
  }

  get known(): number {
    return this.#insn.imm;
  }

  immediate64(): I64 {
    return i64.const(this.#insn.imm);
  }

  immediate32(): I32 {
    return i32.const(this.#insn.imm);
  }

  get knownOffset(): number {
    return this.#insn.off;
  }

  offset64(): I64 {
    return i64.const(this.#insn.off);
  }

  offset32(): I32 {
    return i32.const(this.#insn.off);
  }

  pc(): I32 {
    return i32.const(this.#pc);
  }

  withinFrame(role: Role, size: Bytes): number | null {
    const offset = this.#frameBytes + this.#insn.off;
    return this.#number(role) === FP && offset >= 0 && offset + size <= this.#frameBytes ? offset : null;
  }
}
