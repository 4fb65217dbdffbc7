import {
  type Expr,
  type Func,
  type FunctionBuilder,
  i32,
  i64,
  type Label,
  type Local,
  ModuleBuilder,
  select,
} from "@vm/wasm";
import { PACKET } from "../isa/opcodes.js";
import { type AccessFunctions, type Mode, pointerTo } from "./access.js";
import { condition, mayGoto } from "./comparison.js";
import { type CoreFunction, importCore } from "./core.js";
import { FaultNumber } from "./faults.js";
import { jumpTable } from "./jump-table.js";
import { CALL_BYTES, CALL_RESULT, MAX_LOOPS, MAY_GOTO_COUNTER, REGISTER_FILE_BYTES } from "./layout.js";
import type { Machine, Role } from "./machine.js";
import { perform } from "./meaning.js";
import { isMissing, packetOffset } from "./packet.js";
import { type Handler, handlers, Record as R, RECORD_BYTES } from "./records.js";
import {
  exportName,
  FUNCTION_PARAMS,
  HELPER_PARAMS,
  IMPORTS,
  importMemory,
  importTable,
  type StateAccess,
} from "./state.js";

/** The interpreter: one function that executes records, with its registers in memory. A function of a program calls another by recursion. */

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** The module with the interpreter, exported as `interpret`: (record, r1 to r5, frame pointer) -> r0. */
export function buildInterpreter(state: StateAccess, shared: boolean): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  importMemory(m, shared);
  const table = importTable(m);
  const core = importCore(m);
  const host = m.importFunction(IMPORTS, "host", ["i32", "i32"], null);
  const indirect = m.importFunction(IMPORTS, "indirect", ["i32", "i32", "i32", "i32"], null);
  const helper = m.type(HELPER_PARAMS, "i64");
  const f = m.function(["i32", ...FUNCTION_PARAMS], "i64");
  const writer = new HandlerWriter(f, state, core, {
    host: (number, at) => f.do(f.call(host, number, at)),
    indirect: (low, high, at, pc) => f.do(f.call(indirect, low, high, at, pc)),
    wasm: (index, args) => f.callIndirect<"i64">(helper, table, index, ...args),
  });
  writer.prologue();
  const { list } = handlers();
  f.loop((again) =>
    jumpTable(f, writer.field(R.handler), list.length, (k) => writer.handler(list[k] as Handler, again)),
  );
  f.unreachable();
  m.exportFunction("interpret", f);
  return m.bytes();
}

/** The import that tells where the records of a function are. */
export const recordName = (subprogram: number): string => `record${subprogram}`;

/** A module with so many functions that interpret a program's functions. */
export function buildStubs(count: number): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  const interpret = m.importFunction(IMPORTS, "interpret", ["i32", ...FUNCTION_PARAMS], "i64");
  for (let k = 0; k < count; k++) {
    const record = m.importGlobal(IMPORTS, recordName(k), "i32", false);
    const f = m.function(FUNCTION_PARAMS, "i64");
    const args = FUNCTION_PARAMS.map((_, parameter) => f.param(parameter));
    f.value(f.call(interpret, f.globalGet<"i32">(record), ...args));
    m.exportFunction(exportName(k), f);
  }
  return m.bytes();
}

interface Calls {
  host(number: I32, at: I32): void;
  indirect(low: I32, high: I32, at: I32, pc: I32): void;
  wasm(index: I32, args: readonly I64[]): I64;
}

/** Writes handlers; what an instruction names is looked up in its record. */
class HandlerWriter implements Machine {
  readonly known = null;
  readonly knownOffset = null;
  readonly frame: Local<"i32">;
  readonly counter: Machine["counter"];
  readonly #record: Local<"i32">;
  readonly #fp: Local<"i32">;
  readonly #registers: Local<"i32">;
  readonly #functions: AccessFunctions;

  constructor(
    readonly f: FunctionBuilder,
    readonly state: StateAccess,
    readonly core: Readonly<Record<CoreFunction, Func>>,
    readonly calls: Calls,
  ) {
    this.#record = f.param<"i32">(0);
    this.#fp = f.param<"i32">(6);
    this.frame = f.local("i32");
    this.#registers = f.local("i32");
    this.#functions = { ...core, memoryBytes: state.get32("memoryBytes") };
    const registers = this.#registers;
    this.counter = {
      get: () => i32.load(registers, MAY_GOTO_COUNTER),
      set: (value) => f.store("i32.store", registers, value, MAY_GOTO_COUNTER),
    };
  }

  /** Takes a register file and fills it. */
  prologue(): void {
    const { f, state } = this;
    const registers = this.#registers;
    f.set(registers, state.get32("registers"));
    f.if(i32.gt_u(registers, i32.const(state.area.registersEnd - REGISTER_FILE_BYTES)), () =>
      this.#fault(FaultNumber.stack),
    );
    state.set32(f, "registers", i32.add(registers, i32.const(REGISTER_FILE_BYTES)));
    for (let k = 0; k < 10; k++)
      f.store("i64.store", registers, k >= 1 && k <= 5 ? f.param<"i64">(k) : i64.const(0), 8 * k);
    f.store("i64.store", registers, pointerTo(this.#fp), 80);
    this.counter.set(i32.const(MAX_LOOPS));
  }

  handler(handler: Handler, again: Label): void {
    const { f } = this;
    f.scope(() => this.#handler(handler, again));
  }

  #handler(handler: Handler, again: Label): void {
    const { f } = this;
    switch (handler.kind) {
      case "enter":
        this.#enter(handler.mode);
        break;
      case "charge": {
        const fuel = f.let("i32", i32.sub(this.state.get32("fuel"), this.immediate32()));
        f.if(i32.lt_s(fuel, i32.const(0)), () => this.#fault(FaultNumber.budget));
        this.state.set32(f, "fuel", fuel);
        break;
      }
      case "compare":
        this.#jump(condition(this, handler.op, handler.wide, handler.immediate), again);
        return;
      case "may_goto":
        this.#jump(mayGoto(this), again);
        return;
      case "jump":
        f.set(this.#record, this.field(R.target));
        f.br(again);
        return;
      case "constant":
        this.set64("dst", this.immediate64());
        break;
      case "exit":
        this.#return(this.get64("r0"));
        return;
      case "packet":
        this.#packet(handler);
        break;
      case "local": {
        const result = f.call<"i64">(f, this.field(R.target), ...this.#arguments(), this.frame);
        this.set64("r0", result);
        break;
      }
      case "tail": {
        const [context, map, index] = this.#arguments() as [I64, I64, I64];
        const program = f.let("i32", f.call<"i32">(this.core.tailTarget, map, index));
        f.if(program, () => this.#return(f.let("i64", f.call<"i64">(this.core.tailCall, program, context, this.#fp))));
        break;
      }
      case "wasm":
        this.state.set32(f, "sp", this.frame);
        this.set64("r0", this.calls.wasm(this.immediate32(), this.#arguments()));
        break;
      case "host":
        this.#callHost((at) => this.calls.host(this.immediate32(), at));
        break;
      case "indirect": {
        const number = f.let("i64", this.get64("dst"));
        const high = i32.wrap_i64(i64.shr_u(number, i64.const(32)));
        this.#callHost((at) => this.calls.indirect(i32.wrap_i64(number), high, at, this.pc()));
        break;
      }
      default:
        perform(this, this.#functions, handler.mode, handler);
    }
    f.set(this.#record, i32.add(this.#record, i32.const(RECORD_BYTES)));
    f.br(again);
  }

  #return(value: I64): void {
    this.state.set32(this.f, "registers", this.#registers);
    this.f.return(value);
  }

  #packet({ size, indirect, mode }: Extract<Handler, { kind: "packet" }>): void {
    const { f, core } = this;
    const context = i64.load(this.#registers, 8 * PACKET);
    const offset = packetOffset(indirect, this.immediate32(), () => this.get32("src"));
    const value =
      mode === "trusted"
        ? f.call<"i64">(core.packet, context, offset, i32.const(size))
        : f.call<"i64">(core.packetChecked, context, offset, i32.const(size), this.pc(), this.frame);
    this.set64("r0", value);
    f.if(isMissing(this.get64("r0")), () => this.#return(i64.const(0)));
  }

  #enter(mode: Mode): void {
    const { f, frame, state } = this;
    f.set(frame, i32.sub(this.#fp, this.immediate32()));
    f.if(i32.lt_u(frame, i32.const(state.area.lowestFrame)), () => this.#fault(FaultNumber.stack));
    if (mode === "trusted") return;
    f.if(i32.lt_u(frame, state.get32("floor")), () => this.#fault(FaultNumber.depth));
    f.memoryFill(frame, i32.const(0), this.immediate32());
  }

  #jump(taken: I32, again: Label): void {
    const { f } = this;
    const next = i32.add(this.#record, i32.const(RECORD_BYTES));
    f.set(this.#record, select(taken, this.field(R.target), next));
    f.br(again);
  }

  #callHost(call: (at: I32) => void): void {
    const { f } = this;
    const at = f.let("i32", i32.sub(this.frame, i32.const(CALL_BYTES)));
    f.memoryCopy(at, i32.add(this.#registers, i32.const(8)), i32.const(40));
    this.state.set32(f, "sp", at);
    call(at);
    this.set64("r0", i64.load(at, CALL_RESULT));
  }

  #arguments(): I64[] {
    return [1, 2, 3, 4, 5].map((k) => i64.load(this.#registers, 8 * k));
  }

  #fault(kind: number): void {
    this.f.do(this.f.call(this.core.fault, i32.const(kind), this.pc(), i64.const(0)));
    this.f.unreachable();
  }

  /** A field of the record that is executed. */
  field(offset: number): I32 {
    return i32.load(this.#record, offset);
  }

  /** Address and offset of a register. */
  #register(role: Role): I32 {
    return role === "r0" ? this.#registers : i32.add(this.#registers, this.field(role === "dst" ? R.dst : R.src));
  }

  get64(role: Role): I64 {
    return i64.load(this.#register(role));
  }

  get32(role: Role): I32 {
    return i32.load(this.#register(role));
  }

  set64(role: Role, value: I64): void {
    this.f.store("i64.store", this.#register(role), value);
  }

  set32(role: Role, value: I32): void {
    this.set64(role, i64.extend_i32_u(value));
  }

  immediate64(): I64 {
    return i64.load(this.#record, R.immediate);
  }

  immediate32(): I32 {
    return i32.load(this.#record, R.immediate);
  }

  offset64(): I64 {
    return i64.load32_s(this.#record, R.offset);
  }

  offset32(): I32 {
    return i32.load(this.#record, R.offset);
  }

  pc(): I32 {
    return this.field(R.pc);
  }

  withinFrame(): null {
    return null;
  }
}
