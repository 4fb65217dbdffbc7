import type { FunctionBuilder } from "./function.js";
import type { Expr, Label, Local } from "./types.js";

/** A control flow graph: nodes 0 to n - 1. */
export interface Graph {
  readonly successors: readonly (readonly number[])[];
  /** Nodes that are reached from outside, or by a jump whose target only execution tells: through the dispatcher if it is more than one. */
  readonly entries: readonly number[];
}

/** How a graph is written with wasm's blocks and loops. */
export interface Structure {
  readonly graph: Graph;
  /** Nodes that the dispatcher leads to, by selector; empty if there is none. */
  readonly dispatched: readonly number[];
  /** Number of a reachable node in reverse postorder; the root's is 0, others' are -1. */
  readonly order: readonly number[];
  readonly children: readonly (readonly number[])[];
  /** Nodes that are joined by more than one forward edge. */
  readonly merges: ReadonlySet<number>;
  readonly headers: ReadonlySet<number>;
  /** Whether an edge goes through the dispatcher. */
  readonly detour: (from: number, to: number) => boolean;
  readonly root: number;
}

/**
 * Makes a graph reducible: edges into a loop beside its header go through a dispatcher, an additional root with a jump table. What is left
 * nests: dominator trees as blocks, back edges as loops (N. Ramsey, Beyond Relooper, ICFP 2022).
 */
export function structure(graph: Graph): Structure {
  const count = graph.successors.length;
  const root = count;
  const dispatched = graph.entries.length > 1 ? [...graph.entries] : [];
  const detours = new Set<number>();
  const detour = (from: number, to: number): boolean => detours.has(from * count + to);
  for (;;) {
    const first = dispatched.length > 0 ? root : (graph.entries[0] as number);
    const successors = graph.successors.map((targets, from) =>
      targets.map((to) => (dispatched.length > 0 && detour(from, to) ? root : to)),
    );
    successors.push([...dispatched]);
    const { order, sorted } = reversePostorder(successors, first);
    const dominators = dominatorsOf(successors, order, sorted);
    const dominates = (a: number, b: number): boolean => {
      let at = b;
      while ((order[at] as number) > (order[a] as number)) at = dominators[at] as number;
      return at === a;
    };
    let reducible = true;
    for (const from of sorted) {
      if (from === root) continue;
      for (const to of graph.successors[from] as readonly number[]) {
        if (detour(from, to) || (order[to] as number) > (order[from] as number) || dominates(to, from)) continue;
        reducible = false;
        if (dispatched.length === 0) dispatched.push(graph.entries[0] as number);
        if (!dispatched.includes(to)) dispatched.push(to);
        detours.add(from * count + to);
      }
    }
    if (reducible) return describe(graph, { dispatched, successors, order, sorted, dominators, first, detour });
  }
}

interface Analysis {
  readonly dispatched: readonly number[];
  readonly successors: readonly (readonly number[])[];
  readonly order: readonly number[];
  readonly sorted: readonly number[];
  readonly dominators: readonly number[];
  readonly first: number;
  readonly detour: (from: number, to: number) => boolean;
}

function describe(graph: Graph, analysis: Analysis): Structure {
  const { dispatched, successors, order, sorted, dominators, first, detour } = analysis;
  const children: number[][] = successors.map(() => []);
  const merges = new Set<number>(dispatched);
  const headers = new Set<number>();
  const joined = new Set<number>();
  for (const node of sorted) {
    if (node !== first) (children[dominators[node] as number] as number[]).push(node);
    for (const to of successors[node] as readonly number[]) {
      if ((order[to] as number) <= (order[node] as number)) headers.add(to);
      else if (joined.has(to)) merges.add(to);
      else joined.add(to);
    }
  }
  // A jump table has a label for each of its targets; a jump whose target only execution tells comes back to it.
  if (dispatched.length > 0) headers.add(first);
  return { graph, dispatched, order, children, merges, headers, detour, root: first };
}

function reversePostorder(
  successors: readonly (readonly number[])[],
  first: number,
): { order: number[]; sorted: number[] } {
  const sorted: number[] = [];
  const seen = new Uint8Array(successors.length);
  const stack: { node: number; next: number }[] = [{ node: first, next: 0 }];
  seen[first] = 1;
  while (stack.length > 0) {
    const top = stack[stack.length - 1] as { node: number; next: number };
    const targets = successors[top.node] as readonly number[];
    if (top.next === targets.length) {
      sorted.push(top.node);
      stack.pop();
      continue;
    }
    const to = targets[top.next++] as number;
    if (seen[to] === 1) continue;
    seen[to] = 1;
    stack.push({ node: to, next: 0 });
  }
  sorted.reverse();
  const order = new Array<number>(successors.length).fill(-1);
  sorted.forEach((node, position) => {
    order[node] = position;
  });
  return { order, sorted };
}

/** Immediate dominators (K. Cooper, T. Harvey, K. Kennedy, A Simple, Fast Dominance Algorithm, 2001). The root is its own. */
function dominatorsOf(
  successors: readonly (readonly number[])[],
  order: readonly number[],
  sorted: readonly number[],
): number[] {
  const first = sorted[0] as number;
  const dominators = new Array<number>(successors.length).fill(-1);
  dominators[first] = first;
  const intersect = (x: number, y: number): number => {
    let [a, b] = [x, y];
    while (a !== b) {
      while ((order[a] as number) > (order[b] as number)) a = dominators[a] as number;
      while ((order[b] as number) > (order[a] as number)) b = dominators[b] as number;
    }
    return a;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const node of sorted) {
      if (dominators[node] === -1) continue;
      for (const to of successors[node] as readonly number[]) {
        if (to === first) continue;
        const known = dominators[to] as number;
        const next = known === -1 ? node : intersect(known, node);
        if (next === known) continue;
        dominators[to] = next;
        changed = true;
      }
    }
  }
  return dominators;
}

/** What the code of a node may do at its end. */
export interface Ways {
  /** On to a successor. */
  readonly go: (to: number) => void;
  /** On to the node that `selector` tells. */
  readonly dispatch: () => void;
}

/** What is written into a structure. */
export interface Content {
  readonly constant: (value: number) => Expr<"i32">;
  /** Writes the code of a node, which must end by going one of its ways or by leaving. */
  readonly node: (node: number, ways: Ways) => void;
  /** Writes the loop of a header by `write`. Control comes to what is before it only from outside of the loop. */
  readonly loop?: (header: number, write: () => void) => void;
}

/** Writes a graph. */
export function writeStructure(
  f: FunctionBuilder,
  structure: Structure,
  selector: Local<"i32">,
  { constant, node: emit, loop: around = (_, write) => write() }: Content,
): void {
  const { graph, dispatched, order, children, merges, headers, detour, root } = structure;
  const loops = new Map<number, Label>();
  const blocks = new Map<number, Label>();
  const dispatcher = graph.successors.length;
  const dispatch = (): void => f.br(loops.get(dispatcher) as Label);

  const tree = (node: number): void => {
    // The one that comes last is the outermost.
    const joined = (children[node] as readonly number[])
      .filter((child) => merges.has(child))
      .sort((a, b) => (order[b] as number) - (order[a] as number));
    if (!headers.has(node)) {
      within(node, joined, 0);
      return;
    }
    around(node, () =>
      f.loop((label) => {
        loops.set(node, label);
        within(node, joined, 0);
      }),
    );
  };
  const within = (node: number, joined: readonly number[], at: number): void => {
    if (at === joined.length) {
      body(node);
      return;
    }
    const last = joined[at] as number;
    f.block((label) => {
      blocks.set(last, label);
      within(node, joined, at + 1);
    });
    tree(last);
  };
  const body = (node: number): void => {
    if (node === dispatcher) {
      const labels = dispatched.map((target) => blocks.get(target) as Label);
      f.brTable(selector, labels, labels[0] as Label);
      return;
    }
    emit(node, { dispatch, go: (to) => go(node, to) });
  };
  const go = (from: number, to: number): void => {
    if (detour(from, to)) {
      f.set(selector, constant(dispatched.indexOf(to)));
      dispatch();
    } else if ((order[to] as number) <= (order[from] as number)) f.br(loops.get(to) as Label);
    else if (merges.has(to)) f.br(blocks.get(to) as Label);
    else tree(to);
  };
  tree(root);
}
