import type { Structure } from "@vm/wasm";
import type { Instance } from "../code/instance.js";
import { Kind, type Operand } from "../decode/index.js";
import type { Block } from "./blocks.js";

/** Instructions of a loop whose registers stay in locals, at most. */
const MAX_PIECES = 200;

/** An innermost loop that is small: its registers are loaded in front of it and stored where it is left. */
export interface TightLoop {
  readonly header: number;
  readonly nodes: ReadonlySet<number>;
  /** General registers by number, vector registers by 16 + number. */
  readonly registers: ReadonlySet<number>;
  /** Those that it writes, as far as operands tell. */
  readonly written: ReadonlySet<number>;
}

/** Finds the tight loops of a region. @returns by node */
export function tightLoops(structure: Structure, blocks: readonly Block[]): ReadonlyMap<number, TightLoop> {
  const { graph, headers, order, detour, dispatched } = structure;
  const sources: number[][] = graph.successors.map(() => []);
  graph.successors.forEach((targets, from) => {
    if ((order[from] as number) < 0) return;
    for (const to of targets) if (!detour(from, to)) (sources[to] as number[]).push(from);
  });
  const found = new Map<number, TightLoop>();
  for (const header of headers) {
    if (header >= blocks.length) continue;
    const nodes = naturalLoop(header, sources, order);
    const inner = [...nodes].some((node) => node !== header && (headers.has(node) || dispatched.includes(node)));
    if (inner) continue;
    const loop = describe(header, nodes, blocks);
    if (loop !== null) for (const node of nodes) found.set(node, loop);
  }
  return found;
}

/** The header, and what leads back to it. */
function naturalLoop(header: number, sources: readonly (readonly number[])[], order: readonly number[]): Set<number> {
  const nodes = new Set([header]);
  const back = (sources[header] as readonly number[]).filter(
    (from) => (order[from] as number) >= (order[header] as number),
  );
  for (let node = back.pop(); node !== undefined; node = back.pop()) {
    if (nodes.has(node)) continue;
    nodes.add(node);
    back.push(...(sources[node] as readonly number[]));
  }
  return nodes;
}

function describe(header: number, nodes: ReadonlySet<number>, blocks: readonly Block[]): TightLoop | null {
  const within = [...nodes].map((node) => blocks[node] as Block);
  // What is called has registers of its own.
  if (within.some(({ end }) => end.kind === "call")) return null;
  if (within.reduce((sum, { pieces }) => sum + pieces.length, 0) > MAX_PIECES) return null;
  const registers = new Set<number>();
  const written = new Set<number>();
  for (const { pieces, effects } of within) {
    for (const { instance } of pieces) {
      for (const register of registersOf(instance)) registers.add(register);
      const first = registerOf(instance, 0);
      if (first !== null) written.add(first);
    }
    for (const effect of effects) {
      for (const register of effect.registers) registers.add(register);
      for (const register of effect.written) written.add(register);
    }
  }
  return { header, nodes, registers, written };
}

function registersOf(instance: Instance): number[] {
  const { insn, form, template } = instance;
  const registers = [...form].map((_, k) => registerOf(instance, k)).filter((register) => register !== null);
  if (template.memory && insn.base >= 0 && insn.base < 16) registers.push(insn.base);
  if (template.memory && insn.index >= 0) registers.push(insn.index);
  return registers;
}

function registerOf({ insn, form }: Instance, k: number): number | null {
  if (form[k] !== "r" && form[k] !== "x") return null;
  const { kind, reg } = insn.operands[k] as Operand;
  switch (kind) {
    case Kind.Gpr:
    case Kind.Gpr8High:
      return reg;
    case Kind.Xmm:
      return 16 + reg;
    default:
      return null;
  }
}
