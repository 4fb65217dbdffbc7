import { type Func, type FunctionBuilder, i32, ModuleBuilder, structure, writeStructure } from "@vm/wasm";
import type { AccessFunctions, Mode } from "./access.js";
import type { Callee } from "./callees.js";
import { type CoreFunction, importCore } from "./core.js";
import { FunctionWriter } from "./function.js";
import { writeBlocks } from "./jump-table.js";
import { type Analyzed, type Block, blocksOf, type Subprogram } from "./program.js";
import { exportName, FUNCTION_PARAMS, HELPER_PARAMS, IMPORTS, importMemory, type StateAccess } from "./state.js";

/** Programs as WebAssembly modules: one for each program, with a function for each of its functions. */

/** What code is written for. */
export interface Target {
  readonly state: StateAccess;
  readonly mode: Mode;
  /** Whether instructions are counted. */
  readonly metered: boolean;
  /** Whether the memory is shared. */
  readonly shared: boolean;
  /** Index in the engine's table of the program's first function; the others follow. */
  readonly entry: number;
}

/** A module, not yet compiled, and the functions that it imports by name beside the core's. */
export interface Code {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly callees: ReadonlyMap<string, Callee>;
}

/** Functions that code calls. */
export interface Functions extends Readonly<Record<CoreFunction, Func>>, AccessFunctions {
  readonly subprograms: readonly Func[];
  /** By the instruction that calls. */
  readonly callees: ReadonlyMap<number, { readonly callee: Callee; readonly func: Func | null }>;
  /** Null if no call is by register. */
  readonly indirect: Func | null;
}

/**
 * The code of a program.
 * @param callees what calls by number come to, by instruction
 */
export function compile(program: Analyzed, target: Target, callees: ReadonlyMap<number, Callee>): Code {
  const m = new ModuleBuilder();
  importMemory(m, target.shared);
  const core = importCore(m);
  // Functions of JavaScript are imported if they are called: engines compile a passage for each.
  const indirect = program.operations.some((operation) => operation?.kind === "indirect")
    ? m.importFunction(IMPORTS, "indirect", ["i32", "i32", "i32", "i32"], null)
    : null;
  const imported = new Map<unknown, Func>();
  const names = new Map<string, Callee>();
  const called = new Map<number, { readonly callee: Callee; readonly func: Func | null }>();
  for (const [pc, callee] of callees) {
    const identity = callee.kind === "tail" ? null : callee.kind === "wasm" ? callee.func : callee.helper;
    let func = imported.get(identity) ?? null;
    if (callee.kind !== "tail" && func === null) {
      const name = `call${names.size}`;
      names.set(name, callee);
      func =
        callee.kind === "wasm"
          ? m.importFunction(IMPORTS, name, HELPER_PARAMS, "i64")
          : m.importFunction(IMPORTS, name, ["i32"], null);
      imported.set(identity, func);
    }
    called.set(pc, { callee, func });
  }
  const subprograms = program.subprograms.map(() => m.function(FUNCTION_PARAMS, "i64"));
  const functions: Functions = {
    ...core,
    memoryBytes: target.state.get32("memoryBytes"),
    indirect,
    subprograms,
    callees: called,
  };
  program.subprograms.forEach((subprogram, k) => {
    writeFunction(subprograms[k] as FunctionBuilder, program, subprogram, target, functions);
  });
  subprograms.forEach((subprogram, k) => {
    m.exportFunction(exportName(k), subprogram);
  });
  return { bytes: m.bytes(), callees: names };
}

/** Blocks of a function up to which jumps become WebAssembly's own: these nest, and both the builder and compilers go down into them. */
const STRUCTURED = 1000;

function writeFunction(
  f: FunctionBuilder,
  program: Analyzed,
  subprogram: Subprogram,
  target: Target,
  functions: Functions,
): void {
  const blocks = blocksOf(program, subprogram);
  const writer = new FunctionWriter(f, program, target, functions);
  writer.prologue(subprogram);
  const write = (node: number, go: (to: number) => void): void => {
    const block = blocks[node] as Block;
    const condition = writer.block(block);
    const [next, taken] = block.successors;
    if (next === undefined) return;
    if (taken === undefined || taken === next || condition === null) go(next);
    else
      f.if(
        condition,
        () => go(taken),
        () => go(next),
      );
  };
  if (blocks.length > STRUCTURED) writeBlocks(f, blocks.length, write);
  else {
    const shape = structure({ successors: blocks.map(({ successors }) => successors), entries: [0] });
    writeStructure(f, shape, f.local("i32"), {
      constant: i32.const,
      node: (node, ways) => write(node, ways.go),
    });
  }
  f.unreachable();
}
