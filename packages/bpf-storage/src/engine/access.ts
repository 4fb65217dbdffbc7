import { type Expr, type Func, i32, i64 } from "@vm/wasm";
import { KERNEL_HIGH } from "./layout.js";
import type { Machine, Place, Role } from "./machine.js";
import type { Bytes, Modification } from "./operation.js";

/** Loads, stores and atomics (RFC 9669, 5). One thread executes programs: atomics need no more than a load and a store. */

type I32 = Expr<"i32">;
type I64 = Expr<"i64">;

/** Functions that accesses call. */
export interface AccessFunctions {
  /** (address i64, size i32, pc i32, frame i32) -> i32: the offset in memory of what an unverified program may access; else it does not return. */
  readonly translate: Func;
  /** The same, giving the bytes there, zero-extended; addresses outside go to the probe, if there is one. */
  readonly fetch: Func;
  /** (address i64, size i32) -> i64: the bytes there, zero-extended, or 0 if they cannot be read. */
  readonly probe: Func;
  /** Bytes of the memory when the run began. */
  readonly memoryBytes: I32;
}

/** How a program accesses memory. */
export type Mode = "trusted" | "checked";

const loads: Readonly<Record<Bytes, (address: I32, offset: number) => I64>> = {
  1: i64.load8_u,
  2: i64.load16_u,
  4: i64.load32_u,
  8: i64.load,
};
const signedLoads: Readonly<Record<Bytes, (address: I32, offset: number) => I64>> = {
  1: i64.load8_s,
  2: i64.load16_s,
  4: i64.load32_s,
  8: i64.load,
};
const signExtend: Readonly<Record<Bytes, (value: I64) => I64>> = {
  1: i64.extend8_s,
  2: i64.extend16_s,
  4: i64.extend32_s,
  8: (value) => value,
};

const fullAddress = (m: Machine, role: Role): I64 => i64.add(m.get64(role), m.offset64());

/** Where a trusted access goes: the lower half of the pointer is the offset in memory. */
function trustedPlace(m: Machine, role: Role): Place {
  // A distance that is not negative may be the instruction's own: see LOWEST_OBJECT.
  if (m.knownOffset !== null && m.knownOffset >= 0) return { address: m.get32(role), offset: m.knownOffset };
  return { address: i32.add(m.get32(role), m.offset32()), offset: 0 };
}

function place(m: Machine, functions: AccessFunctions, mode: Mode, role: Role, size: Bytes): Place {
  const within = m.withinFrame(role, size);
  if (within !== null) return { address: m.frame, offset: within };
  if (mode === "trusted") return trustedPlace(m, role);
  return {
    address: m.f.call<"i32">(functions.translate, fullAddress(m, role), i32.const(size), m.pc(), m.frame),
    offset: 0,
  };
}

/** `dst = *(src + off)` */
export function load(
  m: Machine,
  functions: AccessFunctions,
  mode: Mode,
  { size, signed, probe }: { size: Bytes; signed: boolean; probe: boolean },
): void {
  const read = (signed ? signedLoads : loads)[size];
  const within = m.withinFrame("src", size);
  if (within !== null) m.set64("dst", read(m.frame, within));
  else if (mode === "checked") {
    const value = m.f.call<"i64">(functions.fetch, fullAddress(m, "src"), i32.const(size), m.pc(), m.frame);
    m.set64("dst", signed ? signExtend[size](value) : value);
  } else if (probe) m.set64("dst", probed(m, functions, size, signed));
  else {
    const { address, offset } = trustedPlace(m, "src");
    m.set64("dst", read(address, offset));
  }
}

/** A load that may fail; what is in the memory is read at once. */
function probed(m: Machine, functions: AccessFunctions, size: Bytes, signed: boolean): I64 {
  const { f } = m;
  const address = f.let("i64", fullAddress(m, "src"));
  const offset = f.let("i32", i32.wrap_i64(address));
  const value = f.temp("i64");
  const known = i32.eq(i32.wrap_i64(i64.shr_u(address, i64.const(32))), i32.const(KERNEL_HIGH));
  f.if(
    i32.and(known, i32.le_u(offset, i32.sub(functions.memoryBytes, i32.const(8)))),
    () => f.set(value, (signed ? signedLoads : loads)[size](offset, 0)),
    () => {
      const read = f.call<"i64">(functions.probe, address, i32.const(size));
      f.set(value, signed ? signExtend[size](read) : read);
    },
  );
  return value;
}

const STORES = { 1: "i64.store8", 2: "i64.store16", 4: "i64.store32", 8: "i64.store" } as const;

/** `*(dst + off) = operand` */
export function store(
  m: Machine,
  functions: AccessFunctions,
  mode: Mode,
  { size, immediate }: { size: Bytes; immediate: boolean },
): void {
  const { address, offset } = place(m, functions, mode, "dst", size);
  m.f.store(STORES[size], address, immediate ? m.immediate64() : m.get64("src"), offset);
}

const MODIFY: Readonly<Record<Exclude<Modification, "xchg" | "cmpxchg">, (a: I64, b: I64) => I64>> = {
  add: i64.add,
  or: i64.or,
  and: i64.and,
  xor: i64.xor,
};

/** `*(dst + off) op= src`, the old value into `src`, or into r0 of a compare-and-exchange. */
export function atomic(
  m: Machine,
  functions: AccessFunctions,
  mode: Mode,
  { op, size, fetch }: { op: Modification; size: 4 | 8; fetch: boolean },
): void {
  const { f } = m;
  const { address, offset } = place(m, functions, mode, "dst", size);
  const at = f.let("i32", address);
  const old = f.let("i64", loads[size](at, offset));
  const operand = m.get64("src");
  if (op === "cmpxchg") {
    const equal = size === 4 ? i32.eq(i32.wrap_i64(old), m.get32("r0")) : i64.eq(old, m.get64("r0"));
    f.if(equal, () => f.store(STORES[size], at, operand, offset));
    m.set64("r0", old);
    return;
  }
  f.store(STORES[size], at, op === "xchg" ? operand : MODIFY[op](old, operand), offset);
  if (fetch) m.set64("src", old);
}

/** The pointer to an offset in memory. */
export const pointerTo = (offset: I32): I64 => i64.or(i64.extend_i32_u(offset), i64.const2(0, KERNEL_HIGH));
