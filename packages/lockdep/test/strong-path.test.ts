import fc from "fast-check";
import { expect, test } from "vitest";
import { addDependency, ClassNode, findCycle, kindOf } from "../src/graph.js";
import { LockClass, type Mode, WAIT_SLEEP } from "../src/index.js";

const NODES = 4;
const node = fc.nat(NODES - 1);
const mode = fc.constantFrom<Mode[]>(0, 1, 2);

/** `prev` was held in one mode while `next` was taken in another. */
interface Seen {
  readonly prev: number;
  readonly next: number;
  readonly held: Mode;
  readonly taken: Mode;
}

const seen = fc.record({ prev: node, next: node, held: mode, taken: mode }).filter(({ prev, next }) => prev !== next);

/** Waiting passes from one dependency to the next unless a recursive reader meets a shared holder. */
const passes = (before: Seen, after: Seen): boolean => !(before.taken === 2 && after.held !== 0);

/** Whether a circle of single observations leads back to `last.prev`, every meeting of two passing waiting on: the definition, tried out. */
function closes(last: Seen, observations: readonly Seen[], path: readonly Seen[] = []): boolean {
  const tip = path.at(-1) ?? last;
  if (tip.next === last.prev && passes(tip, last)) return true;
  return observations.some(
    (one) =>
      one.prev === tip.next && !path.includes(one) && passes(tip, one) && closes(last, observations, [...path, one]),
  );
}

test("a cycle is found exactly if some choice of observations makes a strong one", () => {
  let cycles = 0;
  fc.assert(
    fc.property(fc.array(seen, { maxLength: 9 }), seen, (observations, last) => {
      const nodes = Array.from(
        { length: NODES },
        (_, k) => new ClassNode(k, new LockClass(`${k}`), 0, 1, WAIT_SLEEP),
      ) as [ClassNode, ...ClassNode[]];
      const at = (k: number): ClassNode => nodes[k] ?? nodes[0];
      for (const { prev, next, held, taken } of observations)
        addDependency(at(prev), at(next), kindOf(held, taken), () => ({ site: "", frames: [] }));
      const found = findCycle(at(last.next), last.taken, at(last.prev), last.held);
      expect(found !== undefined).toBe(closes(last, observations));
      if (found === undefined) return;
      cycles++;
      expect(found.node).toBe(at(last.prev));
      let step = found;
      for (; step.parent !== undefined; step = step.parent) expect(step.edge?.from).toBe(step.parent.node);
      expect(step.node).toBe(at(last.next));
    }),
    { seed: 5, numRuns: 20_000 },
  );
  expect(cycles).toBeGreaterThan(1000);
});
