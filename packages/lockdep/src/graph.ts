/**
 * The dependency graph: classes, and an edge A -> B once a task took B while it held A.
 * Source: Documentation/locking/lockdep-design.rst ("Lock-class", "Recursive read deadlock detection"), kernel/locking/lockdep.c (__bfs).
 */
import type { LockClass } from "./lock-class.js";
import { EXCLUSIVE, type Mode, RECURSIVE, type WaitType } from "./mode.js";
import type { Stack } from "./stack.js";

/** A (class, subclass) as one validator knows it. */
export class ClassNode {
  readonly after: Edge[] = [];
  readonly before: Edge[] = [];
  /** It was taken exclusively, it was taken shared. */
  usedExclusive = false;
  usedShared = false;
  /** The searches that reached this node at all, and by a path whose last edge has a *N kind. */
  seen = 0;
  seenFree = 0;

  constructor(
    readonly id: number,
    readonly lockClass: LockClass,
    readonly subclass: number,
    /** 1 + the number of other classes of this name that were there before. */
    readonly version: number,
    readonly wait: WaitType,
  ) {}
}

/**
 * Kinds of a dependency, as bits of `Edge.kinds`: the first letter is how the first lock was held (Exclusively, Shared), the second how
 * the next was taken (Recursively shared, Not so).
 */
export const SR = 1 << 0;
export const ER = 1 << 1;
export const SN = 1 << 2;
export const EN = 1 << 3;

export const kindOf = (held: Mode, next: Mode): number =>
  1 << ((held === EXCLUSIVE ? 1 : 0) + (next === RECURSIVE ? 0 : 2));

export interface Edge {
  readonly from: ClassNode;
  readonly to: ClassNode;
  kinds: number;
  /** Where the dependency was first seen. */
  readonly stack: Stack;
}

/** A node of a search: how `node` was reached. */
export interface Step {
  readonly node: ClassNode;
  readonly edge: Edge | undefined;
  readonly parent: Step | undefined;
  /** Every way here ends in a *R edge: no S* edge may follow. */
  readonly onlyRecursive: boolean;
}

let search = 0;

/**
 * Shortest strong path from `from`, taken in mode `mode`, to `to`, held in mode `heldMode`, such that holding `to` while `from` is taken
 * closes a strong cycle; undefined if there is none.
 *
 * Strong means that no -(*R)-> is followed by a -(S*)->: whoever holds a lock shared does not keep a recursive reader out, so such a pair
 * does not pass waiting on. A node may be worth two visits, one reached by *R edges only and one not (the kernel makes do with one).
 */
export function findCycle(from: ClassNode, mode: Mode, to: ClassNode, heldMode: Mode): Step | undefined {
  search++;
  const queue: Step[] = [{ node: from, edge: undefined, parent: undefined, onlyRecursive: mode === RECURSIVE }];
  for (const step of queue) {
    const { node, onlyRecursive } = step;
    if (node.seenFree === search || (onlyRecursive && node.seen === search)) continue;
    node.seen = search;
    if (!onlyRecursive) node.seenFree = search;
    if (node === to && (heldMode === EXCLUSIVE || !onlyRecursive)) return step;
    for (const edge of node.after) {
      const kinds = onlyRecursive ? edge.kinds & (ER | EN) : edge.kinds;
      if (kinds !== 0) queue.push({ node: edge.to, edge, parent: step, onlyRecursive: (kinds & (SN | EN)) === 0 });
    }
  }
  return undefined;
}

/** Records `from -> to`; an edge that is there already only gains the kind. */
export function addDependency(from: ClassNode, to: ClassNode, kinds: number, stack: () => Stack): void {
  const known = from.after.find((edge) => edge.to === to);
  if (known !== undefined) {
    known.kinds |= kinds;
    return;
  }
  const edge: Edge = { from, to, kinds, stack: stack() };
  from.after.push(edge);
  to.before.push(edge);
}
