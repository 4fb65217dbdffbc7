import { structure } from "@vm/wasm";
import { describe, expect, test } from "vitest";
import { instanceOf } from "../../src/code/instance.js";
import { DecodeStatus, decode, Insn } from "../../src/decode/index.js";
import type { Block } from "../../src/jit/blocks.js";
import { effectsOf } from "../../src/jit/effects.js";
import { tightLoops } from "../../src/jit/loops.js";
import { type Piece, rowOfInstance } from "../../src/jit/piece.js";

const ADD_RAX_RBX = [0x48, 0x01, 0xd8];
const LOAD_RCX = [0x48, 0x8b, 0x0c, 0xfe]; // mov rcx, [rsi + rdi * 8]
const MUL_R8 = [0x49, 0xf7, 0xe0];
const PUSH_RBP = [0x55];
const MOVAPS = [0x0f, 0x28, 0xd1]; // movaps xmm2, xmm1

function piece(bytes: readonly number[]): Piece {
  const insn = new Insn();
  const code = new Uint8Array(32);
  code.set(bytes);
  expect(decode(code, 0, code.length, 64, insn)).toBe(DecodeStatus.Ok);
  const instance = instanceOf(insn);
  const row = rowOfInstance(instance);
  if (row === null) throw new Error(`no row for ${insn.op}`);
  return { instance, row, offset: 0, record: 0 };
}

/** A block of these instructions; where it leads is the graph's. */
function block(...code: readonly (readonly number[])[]): Block {
  const pieces = code.map(piece);
  return { pieces, effects: pieces.map(effectsOf), end: { kind: "jump" } } as unknown as Block;
}

const loopsOf = (successors: readonly (readonly number[])[], blocks: readonly Block[], entries = [0]) =>
  tightLoops(structure({ successors, entries }), blocks);

describe("tight loops", () => {
  test("have the registers of their operands and addresses, and those that instructions use besides", () => {
    const body = block(ADD_RAX_RBX, LOAD_RCX, MUL_R8, PUSH_RBP, MOVAPS);
    const loops = loopsOf([[1], [1, 2], []], [block(), body, block()]);
    expect([...loops.keys()]).toEqual([1]);
    const { registers, written } = loops.get(1) as NonNullable<ReturnType<typeof loops.get>>;
    expect(new Set(registers)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 17, 18]));
    // What is only read may be among them, but nothing that is written may be missing that is not stored at once.
    expect([0, 1, 2, 4, 18].filter((register) => !written.has(register))).toEqual([]);
    expect([3, 6, 7, 17].filter((register) => written.has(register))).toEqual([]);
  });

  test("are innermost", () => {
    const loops = loopsOf([[1], [2], [2, 3], [1, 4], []], Array(5).fill(block(ADD_RAX_RBX)));
    expect([...loops.keys()]).toEqual([2]);
  });

  test("are entered at their header only", () => {
    const successors = [[1], [2], [1, 3], []];
    expect([...loopsOf(successors, Array(4).fill(block(ADD_RAX_RBX))).keys()].sort()).toEqual([1, 2]);
    expect(loopsOf(successors, Array(4).fill(block(ADD_RAX_RBX)), [0, 2]).size).toBe(0);
    expect([...loopsOf(successors, Array(4).fill(block(ADD_RAX_RBX)), [0, 1]).keys()].sort()).toEqual([1, 2]);
  });

  test("are small", () => {
    const large = block(...Array(201).fill(ADD_RAX_RBX));
    expect(loopsOf([[0, 1], []], [large, block()]).size).toBe(0);
  });

  test("call nothing that is elsewhere", () => {
    const calls = { ...block(ADD_RAX_RBX), end: { kind: "call", to: null, back: 1 } } as Block;
    expect(loopsOf([[1], [1]], [block(PUSH_RBP), calls]).size).toBe(0);
  });
});
