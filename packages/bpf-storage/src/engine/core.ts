import { type Expr, type Func, type FunctionBuilder, i32, i64, type Local, ModuleBuilder } from "@vm/wasm";
import { FaultNumber } from "./faults.js";
import { type Area, FRAME_BYTES, KERNEL_HIGH, MAX_FRAMES, MAX_LOOPS, State, WINDOWS } from "./layout.js";
import { writePacketLoad } from "./packet.js";
import { FUNCTION_PARAMS, HELPER_PARAMS, IMPORTS, importMemory, importTable, StateAccess } from "./state.js";
import { MAX_TAIL_CALLS, ProgArray } from "./tail-calls.js";

/** What programs share, as one WebAssembly module: entry from JavaScript, checks of unverified accesses, tail calls, bpf_loop. */

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** Types of the functions that programs import from the core. */
export const CORE_FUNCTIONS = {
  fault: { params: ["i32", "i32", "i64"], result: null },
  translate: { params: ["i64", "i32", "i32", "i32"], result: "i32" },
  fetch: { params: ["i64", "i32", "i32", "i32"], result: "i64" },
  probe: { params: ["i64", "i32"], result: "i64" },
  packet: { params: ["i64", "i32", "i32"], result: "i64" },
  packetChecked: { params: ["i64", "i32", "i32", "i32", "i32"], result: "i64" },
  tailTarget: { params: ["i64", "i64"], result: "i32" },
  tailCall: { params: ["i32", "i64", "i32"], result: "i64" },
  loop: { params: HELPER_PARAMS, result: "i64" },
} as const;
export type CoreFunction = keyof typeof CORE_FUNCTIONS;

/** Imports the core's functions. */
export const importCore = (m: ModuleBuilder): Readonly<Record<CoreFunction, Func>> =>
  Object.fromEntries(
    Object.entries(CORE_FUNCTIONS).map(([name, { params, result }]) => [
      name,
      m.importFunction(IMPORTS, name, params, result),
    ]),
  ) as Record<CoreFunction, Func>;

/** What JavaScript calls: runs the function at an index of the table; r1 to r5 as halves, lower first. Returns the lower half of r0. */
export type Enter = (index: number, ...halves: number[]) => number;

export interface Core {
  readonly enter: Enter;
  readonly functions: Readonly<Record<CoreFunction, CallableFunction>>;
}

const modules = new Map<string, WebAssembly.Module>();

/**
 * @param guest whether unverified loads outside of their windows go to the probe
 * @param probe reads so many bytes of an address given by halves, into the state block
 */
export function instantiateCore(
  area: Area,
  memory: WebAssembly.Memory,
  table: WebAssembly.Table,
  shared: boolean,
  guest: boolean,
  probe: (low: number, high: number, size: number) => void,
): Core {
  const key = `${area.state} ${shared} ${guest}`;
  let module = modules.get(key);
  if (module === undefined) {
    module = new WebAssembly.Module(build(area, shared, guest));
    modules.set(key, module);
  }
  const { exports } = new WebAssembly.Instance(module, { [IMPORTS]: { memory, table, probe } });
  return {
    enter: exports.enter as Enter,
    functions: exports as Readonly<Record<CoreFunction, CallableFunction>>,
  };
}

function build(area: Area, shared: boolean, guest: boolean): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  importMemory(m, shared);
  const table = importTable(m);
  const ask = m.importFunction(IMPORTS, "probe", ["i32", "i32", "i32"], null);
  const define = (name: CoreFunction, write: (f: FunctionBuilder) => void): FunctionBuilder => {
    const f = m.function(CORE_FUNCTIONS[name].params, CORE_FUNCTIONS[name].result);
    write(f);
    m.exportFunction(name, f);
    return f;
  };
  const state = new StateAccess(area);
  const type = m.type(FUNCTION_PARAMS, "i64");
  const zero = i64.const(0);

  enter(m, state, (f, index, args, fp) => f.callIndirect<"i64">(type, table, index, ...args, fp));

  const fault = define("fault", (f) => {
    state.set32(f, "fault", f.param<"i32">(0));
    state.set32(f, "faultPc", f.param<"i32">(1));
    state.set64(f, "faultAddress", f.param<"i64">(2));
    f.unreachable();
  });

  const translate = define("translate", (f) => {
    accessible(f, state, () => f.return(i32.wrap_i64(f.param<"i64">(0))));
    f.do(f.call(fault, i32.const(FaultNumber.memory), f.param(2), f.param(0)));
    f.unreachable();
  });

  const probe = define("probe", (f) => {
    const [address, size] = [f.param<"i64">(0), f.param<"i32">(1)];
    const offset = i32.wrap_i64(address);
    const high = i32.wrap_i64(i64.shr_u(address, i64.const(32)));
    state.set64(f, "probed", zero);
    f.do(f.call(ask, offset, high, size));
    f.value(sized(f, i32.const(area.state + State.probed), size));
  });

  define("fetch", (f) => {
    const [address, size] = [f.param<"i64">(0), f.param<"i32">(1)];
    const high = i32.wrap_i64(i64.shr_u(address, i64.const(32)));
    if (guest) f.if(i32.ne(high, i32.const(KERNEL_HIGH)), () => f.return(f.call(probe, address, size)));
    f.value(sized(f, f.call<"i32">(translate, address, size, f.param(2), f.param(3)), size));
  });

  define("packet", (f) => writePacketLoad(f, (at) => at));

  define("packetChecked", (f) => {
    const pointer = (at: I32): I64 => i64.or(i64.extend_i32_u(at), i64.const2(0, KERNEL_HIGH));
    writePacketLoad(f, (at, size) => f.call<"i32">(translate, pointer(at), size, f.param(3), f.param(4)));
  });

  define("tailTarget", (f) => {
    const map = i32.wrap_i64(f.param<"i64">(0));
    const index = i32.wrap_i64(f.param<"i64">(1));
    const target = f.local("i32");
    f.if(i32.ge_u(index, i32.load(map, ProgArray.maxEntries)), () => f.return(i32.const(0)));
    f.if(i32.ge_u(state.get32("tailCalls"), i32.const(MAX_TAIL_CALLS)), () => f.return(i32.const(0)));
    f.set(target, i32.load(i32.add(map, i32.shl(index, i32.const(2))), ProgArray.slots));
    f.if(target, () => state.set32(f, "tailCalls", i32.add(state.get32("tailCalls"), i32.const(1))));
    f.value(target);
  });

  define("tailCall", (f) => {
    const fp = f.param<"i32">(2);
    const floor = f.local("i32");
    const result = f.local("i64");
    f.set(floor, state.get32("floor"));
    lowerFloor(f, state, fp);
    f.set(result, f.callIndirect<"i64">(type, table, f.param(0), f.param(1), zero, zero, zero, zero, fp));
    state.set32(f, "floor", floor);
    f.value(result);
  });

  define("loop", (f) => {
    const [count, callback] = [f.param<"i64">(0), f.param<"i64">(1)];
    const [context, flags] = [f.param<"i64">(2), f.param<"i64">(3)];
    const [fp, index, limit] = [f.local("i32"), f.local("i32"), f.local("i32")];
    const stop = f.local("i64");
    f.if(i64.ne(flags, zero), () => f.return(i64.const(-22)));
    f.set(limit, i32.wrap_i64(count));
    // The verifier writes the loop into the program, with an instruction of 32 bits for this (inline_bpf_loop): the upper half is clear.
    f.if(i32.gt_u(limit, i32.const(MAX_LOOPS)), () => f.return(i64.const2(-7, 0)));
    f.set(fp, state.get32("sp"));
    f.block((done) =>
      f.loop((again) => {
        f.brIf(i32.ge_u(index, limit), done);
        const passed = i64.extend_i32_u(index);
        const target = i32.wrap_i64(callback);
        f.set(stop, f.callIndirect<"i64">(type, table, target, passed, context, zero, zero, zero, fp));
        f.set(index, i32.add(index, i32.const(1)));
        f.brIf(i64.eqz(stop), again);
      }),
    );
    f.value(i64.extend_i32_u(index));
  });
  return m.bytes();
}

function enter(
  m: ModuleBuilder,
  state: StateAccess,
  call: (f: FunctionBuilder, index: I32, args: readonly I64[], fp: I32) => I64,
): void {
  const f = m.function(new Array<"i32">(11).fill("i32"), "i32");
  const half = (k: number): I64 => i64.extend_i32_u(f.param<"i32">(k));
  const args = [1, 3, 5, 7, 9].map((k) => i64.or(half(k), i64.shl(half(k + 1), i64.const(32))));
  const fp = f.local("i32");
  const result = f.local("i64");
  f.set(fp, state.get32("sp"));
  f.set(result, call(f, f.param(0), args, fp));
  state.set32(f, "sp", fp);
  state.set64(f, "result", result);
  f.value(i32.wrap_i64(result));
  m.exportFunction("enter", f);
}

/** A run that begins or goes on at `fp` has eight frames below it. */
function lowerFloor(f: FunctionBuilder, state: StateAccess, fp: Local<"i32">): void {
  const floor = f.local("i32");
  const lowest = i32.const(state.area.lowestFrame);
  f.set(floor, i32.sub(fp, i32.const(MAX_FRAMES * FRAME_BYTES)));
  f.if(i32.lt_u(floor, lowest), () => f.set(floor, lowest));
  state.set32(f, "floor", floor);
}

/** Does `then` if the access (address, size, pc, frame) is within a window. */
function accessible(f: FunctionBuilder, state: StateAccess, then: () => void): void {
  const [address, size, frame] = [f.param<"i64">(0), f.param<"i32">(1), f.param<"i32">(3)];
  const offset = f.local("i32");
  f.set(offset, i32.wrap_i64(address));
  f.if(i32.eq(i32.wrap_i64(i64.shr_u(address, i64.const(32))), i32.const(KERNEL_HIGH)), () => {
    const within = (first: I32, end: I32): void => {
      const room = i32.sub(end, first);
      f.if(i32.le_u(size, room), () => f.if(i32.le_u(i32.sub(offset, first), i32.sub(room, size)), then));
    };
    within(frame, state.get32("stackTop"));
    for (let k = 0; k < WINDOWS; k++) {
      const window = i32.const(state.area.state + State.windows + 8 * k);
      within(i32.load(window), i32.load(window, 4));
    }
  });
}

/** So many bytes, zero-extended. */
function sized(f: FunctionBuilder, address: I32, size: I32): I64 {
  const at = f.local("i32");
  const value = f.local("i64");
  f.set(at, address);
  f.block((done) => {
    const when = (bytes: number, read: (address: I32) => I64): void =>
      f.if(i32.eq(size, i32.const(bytes)), () => {
        f.set(value, read(at));
        f.br(done);
      });
    when(8, i64.load);
    when(4, i64.load32_u);
    when(2, i64.load16_u);
    f.set(value, i64.load8_u(at));
  });
  return value;
}
