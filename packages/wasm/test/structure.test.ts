import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ModuleBuilder } from "../src/module.js";
import { i32 } from "../src/ops.js";
import { type Graph, structure, type Ways, writeStructure } from "../src/structure.js";

/** Nodes a walk goes to, at most. */
const STEPS = 60;
/** What a node is told to do is a byte each, from here on; the walk is written down from `LOG` on. */
const CHOICES = 0;
const LOG = 256;

/** Where a walk goes from `node`: successor `choice` modulo what there is; beyond the successors, an entry by its number, through the dispatcher. */
function wayOf(
  { successors, entries }: Graph,
  node: number,
  choice: number,
): { to: number; entry: number | null } | null {
  const targets = successors[node] as readonly number[];
  const anywhere = entries.length > 1 ? entries.length : 0;
  const count = targets.length + anywhere;
  if (count === 0) return null;
  const k = choice % count;
  if (k < targets.length) return { to: targets[k] as number, entry: null };
  return { to: entries[k - targets.length] as number, entry: k - targets.length };
}

/** The walk through the graph itself. */
function walk(graph: Graph, entry: number, choices: readonly number[]): number[] {
  const nodes: number[] = [];
  let at: number | undefined = graph.entries[entry];
  while (at !== undefined && nodes.length < STEPS) {
    nodes.push(at);
    at = wayOf(graph, at, choices[nodes.length - 1] as number)?.to;
  }
  return nodes;
}

/** The walk through the function that is written of the graph. */
function compiled(graph: Graph): (entry: number, choices: readonly number[]) => number[] {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const m = new ModuleBuilder();
  m.importMemory("vm", "memory", { min: 1, max: 1 });
  const f = m.function(["i32"], "i32");
  const selector = f.param<"i32">(0);
  const steps = f.local("i32");
  const structured = structure(graph);
  const written: number[] = [];
  const writeNode = (node: number, ways: Ways): void => {
    written.push(node);
    f.if(i32.ge_s(steps, i32.const(STEPS)), () => f.return(steps));
    f.store("i32.store8", steps, i32.const(node), LOG);
    f.scope(() => {
      const choice = f.let("i32", i32.load8_u(steps, CHOICES));
      f.set(steps, i32.add(steps, i32.const(1)));
      const targets = graph.successors[node] as readonly number[];
      const count = targets.length + (graph.entries.length > 1 ? graph.entries.length : 0);
      for (let k = 0; k < count; k++)
        f.if(i32.eq(i32.rem_u(choice, i32.const(count)), i32.const(k)), () => {
          const way = wayOf(graph, node, k);
          if (way === null || way.entry === null) ways.go(targets[k] as number);
          else {
            f.set(selector, i32.const(way.entry));
            ways.dispatch();
          }
        });
      f.return(steps);
    });
  };
  writeStructure(f, structured, selector, { constant: i32.const, node: writeNode });
  f.unreachable();
  // Each that control can come to, once.
  const reachable = graph.successors.flatMap((_, node) => ((structured.order[node] as number) < 0 ? [] : [node]));
  expect(written.sort((a, b) => a - b)).toEqual(reachable);
  m.exportFunction("walk", f);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()), { vm: { memory } });
  const bytes = new Uint8Array(memory.buffer);
  return (entry, choices) => {
    bytes.set(choices, CHOICES);
    const count = (exports.walk as (entry: number) => number)(entry);
    return [...bytes.subarray(LOG, LOG + count)];
  };
}

const choices = fc.array(fc.nat(255), { minLength: STEPS, maxLength: STEPS });

/** Any graph: nodes that nothing leads to, edges to oneself, two edges to the same, loops with several ways in. */
const graphs = fc.integer({ min: 1, max: 14 }).chain((count) => {
  const node = fc.nat(count - 1);
  return fc.record({
    successors: fc.array(fc.array(node, { maxLength: 3 }), { minLength: count, maxLength: count }),
    entries: fc.uniqueArray(node, { minLength: 1, maxLength: Math.min(4, count) }),
  });
});

function same(graph: Graph, walks: readonly (readonly number[])[]): void {
  const run = compiled(graph);
  for (const [k, path] of walks.entries()) {
    const entry = k % graph.entries.length;
    expect(run(entry, path)).toEqual(walk(graph, entry, path));
  }
}

const all = (path: readonly number[][]) => [
  ...path,
  new Array<number>(STEPS).fill(0),
  new Array<number>(STEPS).fill(1),
];

describe("a graph written with blocks and loops", () => {
  test("is walked as it is, from every entry", () => {
    fc.assert(
      fc.property(graphs, fc.array(choices, { minLength: 4, maxLength: 4 }), (graph, paths) => same(graph, all(paths))),
      { numRuns: 1000 },
    );
  });

  test("of one node: without an edge, with one to itself, with two", () => {
    for (const successors of [[[]], [[0]], [[0, 0]]]) same({ successors, entries: [0] }, all([]));
  });

  test("needs no dispatcher if it is reducible and has one entry", () => {
    // while (a) { if (b) {} else {}; do {} while (c) }
    const successors = [[1], [2, 6], [3, 4], [5], [5], [5, 1], []];
    expect(structure({ successors, entries: [0] }).dispatched).toEqual([]);
    fc.assert(fc.property(choices, (path) => same({ successors, entries: [0] }, [path])));
  });

  test("of a loop with two ways in goes through the dispatcher for one of them", () => {
    const graph: Graph = { successors: [[1, 2], [2], [1, 3], []], entries: [0] };
    const { dispatched, detour } = structure(graph);
    expect(dispatched[0]).toBe(0);
    expect(dispatched.length).toBe(2);
    const edges = graph.successors.flatMap((targets, from) => targets.map((to) => [from, to] as const));
    expect(edges.some(([from, to]) => detour(from, to))).toBe(true);
    fc.assert(fc.property(choices, (path) => same(graph, [path])));
  });

  test("of loops with several ways in, one in the other", () => {
    const graph: Graph = { successors: [[1, 3], [2, 4], [3, 1], [4, 2], [5, 1, 3], [0]], entries: [0, 4] };
    fc.assert(fc.property(choices, choices, (one, two) => same(graph, [one, two])));
  });

  test("has no code for nodes that nothing leads to", () => {
    const graph: Graph = { successors: [[1], [0], [3], [0]], entries: [0] };
    const { order } = structure(graph);
    expect(order.slice(2, 4)).toEqual([-1, -1]);
    same(graph, all([]));
  });

  test("takes what a long function has: a chain of a thousand nodes with jumps back and forth", () => {
    const count = 1000;
    const successors = Array.from({ length: count }, (_, k) =>
      k === count - 1 ? [0] : k % 7 === 3 ? [k + 1, Math.max(0, k - 50)] : [k + 1, Math.min(count - 1, k + 30)],
    );
    const run = structure({ successors, entries: [0, 500] });
    expect(run.order.filter((number) => number >= 0).length).toBe(count + 1);
    expect(run.dispatched.slice(0, 2)).toEqual([0, 500]);
  });
});
