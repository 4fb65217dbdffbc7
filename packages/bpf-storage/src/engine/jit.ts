import { type Func, type FunctionBuilder, i32, ModuleBuilder, structure, writeStructure } from "@vm/wasm";
import type { Mode } from "./access.js";
import type { Callee } from "./callees.js";
import { CORE_FUNCTIONS, type CoreFunction, importCore } from "./core.js";
import { FunctionWriter } from "./function.js";
import { type Analyzed, blocksOf, type Subprogram } from "./program.js";
import { FUNCTION_PARAMS, HELPER_PARAMS, IMPORTS, importStore, type StateAccess } from "./state.js";

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
export interface Functions extends Readonly<Record<CoreFunction, Func>> {
  readonly subprograms: readonly Func[];
  /** By the instruction that calls. */
  readonly callees: ReadonlyMap<number, { readonly callee: Callee; readonly func: Func | null }>;
  readonly indirect: Func;
}

/**
 * The code of a program.
 * @param callees what calls by number come to, by instruction
 */
export function compile(program: Analyzed, target: Target, callees: ReadonlyMap<number, Callee>): Code {
  const m = new ModuleBuilder();
  const table = importStore(m, target.shared);
  const core = Object.fromEntries(
    (Object.keys(CORE_FUNCTIONS) as CoreFunction[]).map((name) => [name, importCore(m, name)]),
  ) as Record<CoreFunction, Func>;
  const indirect = m.importFunction(IMPORTS, "indirect", ["i32", "i32", "i32", "i32"], null);
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
  const functions: Functions = { ...core, indirect, subprograms, callees: called };
  program.subprograms.forEach((subprogram, k) => {
    writeFunction(subprograms[k] as FunctionBuilder, program, subprogram, target, functions);
  });
  m.element(table, target.entry, subprograms);
  return { bytes: m.bytes(), callees: names };
}

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
  const shape = structure({ successors: blocks.map(({ successors }) => successors), entries: [0] });
  writeStructure(f, shape, f.local("i32"), {
    constant: i32.const,
    node: (node, ways) => {
      const block = blocks[node];
      if (block === undefined) return;
      const condition = writer.block(block);
      const [next, taken] = block.successors;
      if (next === undefined) return;
      if (taken === undefined || condition === null) ways.go(next);
      else if (next === taken) {
        f.drop(condition);
        ways.go(next);
      } else
        f.if(
          condition,
          () => ways.go(taken),
          () => ways.go(next),
        );
    },
  });
  f.unreachable();
}
