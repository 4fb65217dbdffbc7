import type { Bytes } from "./bytes.js";
import type { TYPE, ValType } from "./types.js";

/** How a node is written after its operands. */
export enum NodeKind {
  /** One opcode byte. */
  Op,
  /** 0xFD-prefixed vector opcode. */
  Simd,
  /** 0xFD-prefixed vector opcode with one lane byte in `x`. */
  SimdLane,
  /** 0xFD-prefixed vector opcode with 16 bytes in `bytes` (v128.const, i8x16.shuffle). */
  SimdBytes,
  /** 0xFC-prefixed opcode. */
  Misc,
  /** Memory access: opcode, log2 alignment in `x`, offset in `y`. */
  Load,
  /** 0xFD-prefixed memory access: opcode, log2 alignment in `x`, offset in `y`. */
  SimdLoad,
  /** Opcode followed by an unsigned index in `x` (local.get, local.tee, global.get, call). */
  Indexed,
  /** call_indirect: type in `x`, table in `y`. */
  CallIndirect,
  ConstI32,
  ConstI64,
  ConstF32,
  ConstF64,
}

/** An expression tree node. Immutable; may be emitted more than once (each emission evaluates it again). */
export class Node {
  /** Untyped inside the builder: stands for any `Expr<T>`. */
  declare readonly [TYPE]?: never;
  /** Of an i64: how many bits can be significant, from bit 0. */
  width = 64;

  constructor(
    readonly kind: NodeKind,
    readonly op: number,
    readonly a: Node | null,
    readonly b: Node | null = null,
    readonly c: Node | null = null,
    readonly x = 0,
    readonly y = 0,
    readonly bytes: Uint8Array | null = null,
    readonly rest: readonly Node[] | null = null,
  ) {}
}

/** A local: the node that reads it, plus its identity. */
export class LocalNode<T extends ValType> extends Node {
  /** The loop in which it became a temporary. */
  loop = 0;

  constructor(
    readonly index: number,
    readonly type: T,
  ) {
    super(NodeKind.Indexed, 0x20, null, null, null, index);
  }
}

/** Writes `node` and its operands, in evaluation order. */
export function emitNode(out: Bytes, node: Node): void {
  if (node.rest !== null) for (const operand of node.rest) emitNode(out, operand);
  if (node.a !== null) {
    emitNode(out, node.a);
    if (node.b !== null) {
      emitNode(out, node.b);
      if (node.c !== null) emitNode(out, node.c);
    }
  }
  switch (node.kind) {
    case NodeKind.Op:
      out.u8(node.op);
      break;
    case NodeKind.Simd:
      out.u8(0xfd);
      out.u32(node.op);
      break;
    case NodeKind.SimdLane:
      out.u8(0xfd);
      out.u32(node.op);
      out.u8(node.x);
      break;
    case NodeKind.SimdBytes:
      out.u8(0xfd);
      out.u32(node.op);
      out.raw(node.bytes as Uint8Array);
      break;
    case NodeKind.Misc:
      out.u8(0xfc);
      out.u32(node.op);
      break;
    case NodeKind.Load:
      out.u8(node.op);
      out.u32(node.x);
      out.u32(node.y);
      break;
    case NodeKind.SimdLoad:
      out.u8(0xfd);
      out.u32(node.op);
      out.u32(node.x);
      out.u32(node.y);
      break;
    case NodeKind.Indexed:
      out.u8(node.op);
      out.u32(node.x);
      break;
    case NodeKind.CallIndirect:
      out.u8(0x11);
      out.u32(node.x);
      out.u32(node.y);
      break;
    case NodeKind.ConstI32:
      out.u8(0x41);
      out.s32(node.x);
      break;
    case NodeKind.ConstI64:
      out.u8(0x42);
      out.s64(node.x, node.y);
      break;
    case NodeKind.ConstF32:
      out.u8(0x43);
      out.f32(node.x);
      break;
    case NodeKind.ConstF64:
      out.u8(0x44);
      out.f64(node.x);
      break;
  }
}
