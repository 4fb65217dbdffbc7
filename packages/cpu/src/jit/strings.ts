import { i32, i64, type Local } from "@vm/wasm";
import type { Insn } from "../decode/index.js";
import type { Ctx, I64, Local64, Row, Size } from "../sem/ctx.js";
import * as S from "../state.js";

/** MOVS and STOS in regions: in bulk, where they are repeated. */

const RAX = 0;
const RCX = 1;
const RSI = 6;
const RDI = 7;
/** The lowest segment that has a base in 64-bit code. */
const FS = 4;

/**
 * The row of a MOVS or STOS that regions know, or null. What goes up within pages that have TLB entries is done here, as one instruction;
 * everything else the interpreter does, in chunks.
 */
export function stringRow(insn: Insn): Row | null {
  const { op, addrSize, seg, rep } = insn;
  if ((op !== "movs" && op !== "stos") || addrSize !== 8 || (op === "movs" && seg >= FS)) return null;
  const size = insn.opSize as Size;
  const once = op === "movs" ? move : set;
  const repeated = op === "movs" ? moveMany : setMany;
  const emit = (c: Ctx): void => {
    // RF ends with the instruction, which the interpreter sees to.
    c.faultIf(i32.and(c.systemFlags(), i32.const(S.DF | S.RF)), 0);
    if (rep === 0) {
      once(c, size);
      return;
    }
    const n = c.f.let("i64", c.reg(RCX, 8));
    c.if(i64.ne(n, i64.const(0)), () => {
      c.faultIf(i64.gt_u(n, i64.const(4096 / size)), 0);
      repeated(c, c.f.let("i32", i32.mul(i32.wrap_i64(n), i32.const(size))), size);
      c.setReg(RCX, i64.const(0), 8);
    });
  };
  return { name: op, sizes: [], forms: [], emit };
}

/** What spreads a byte over an element of a size. */
const EACH_BYTE: Readonly<Record<Size, I64>> = {
  1: i64.const(1),
  2: i64.const(0x0101),
  4: i64.const(0x01010101),
  8: i64.const2(0x01010101, 0x01010101),
};

const pointer = (c: Ctx, register: number): Local64 => c.f.let("i64", c.reg(register, 8));
const advance = (c: Ctx, register: number, bytes: I64): void =>
  c.setReg(register, i64.add(c.reg(register, 8), bytes), 8);

function move(c: Ctx, size: Size): void {
  c.store(pointer(c, RDI), c.load(pointer(c, RSI), size), size);
  advance(c, RSI, i64.const(size));
  advance(c, RDI, i64.const(size));
}

function set(c: Ctx, size: Size): void {
  c.store(pointer(c, RDI), c.reg(RAX, size), size);
  advance(c, RDI, i64.const(size));
}

function moveMany(c: Ctx, bytes: Local<"i32">): void {
  const { f } = c;
  const from = c.host(pointer(c, RSI), bytes, false);
  const to = c.host(pointer(c, RDI), bytes, true);
  // With the destination within the source, a pattern is repeated.
  const ahead = f.let("i32", i32.sub(to, from));
  c.faultIf(i32.and(i32.ne(ahead, i32.const(0)), i32.lt_u(ahead, bytes)), 0);
  f.memoryCopy(to, from, bytes);
  advance(c, RSI, i64.extend_i32_u(bytes));
  advance(c, RDI, i64.extend_i32_u(bytes));
}

function setMany(c: Ctx, bytes: Local<"i32">, size: Size): void {
  const { f } = c;
  const to = c.host(pointer(c, RDI), bytes, true);
  const value = f.let("i64", c.reg(RAX, size));
  // Elements of the same byte throughout are filled as bytes.
  const low = i64.and(value, i64.const(0xff));
  if (size > 1) c.faultIf(i64.ne(i64.mul(low, EACH_BYTE[size]), value), 0);
  f.memoryFill(to, i32.wrap_i64(low), bytes);
  advance(c, RDI, i64.extend_i32_u(bytes));
}
