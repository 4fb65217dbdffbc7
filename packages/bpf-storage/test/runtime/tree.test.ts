import fc from "fast-check";
import { expect, test } from "vitest";
import { Arena, ERRNO } from "../../src/index.js";
import { pushToList, takeFromList } from "../../src/runtime/kfuncs/lists.js";
import { addToTree, firstOfTree, removeFromTree, treeOf } from "../../src/runtime/kfuncs/tree.js";

const NODE_BYTES = 32;

/** An arena with places for nodes, and a number that each has. */
function nodes(keys: readonly number[]) {
  const arena = new Arena({ limit: 1 << 20 });
  const root = arena.alloc(16);
  const places = keys.map(() => arena.alloc(NODE_BYTES));
  const keyOf = new Map(places.map((place, k) => [place, keys[k] as number]));
  const less = (a: number, b: number): boolean => (keyOf.get(a) as number) < (keyOf.get(b) as number);
  return { arena, root, places, keyOf, less };
}

test("a tree gives its nodes in order, those that are equal in the order in which they came", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(20), fc.boolean()), { maxLength: 60 }), (steps) => {
      const { arena, root, places, keyOf, less } = nodes(steps.map(([key]) => key));
      const expected: number[] = [];
      for (const [k, [key, remove]] of steps.entries()) {
        const place = places[k] as number;
        expect(addToTree(arena, root, place, less)).toBe(0);
        expect(addToTree(arena, root, place, less)).toBe(-ERRNO.EINVAL);
        expect(treeOf(arena, place)).toBe(root);
        const behind = expected.findIndex((other) => (keyOf.get(other) as number) > key);
        expected.splice(behind < 0 ? expected.length : behind, 0, place);
        if (!remove) continue;
        const [gone] = expected.splice(key % expected.length, 1) as [number];
        removeFromTree(arena, root, gone);
        expect(treeOf(arena, gone)).toBe(0);
      }
      const found: number[] = [];
      for (let node = firstOfTree(arena, root); node !== 0; node = firstOfTree(arena, root)) {
        found.push(node);
        removeFromTree(arena, root, node);
      }
      expect(found).toEqual(expected);
    }),
  );
});

test("a list gives its nodes from the end that is asked for", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()), { maxLength: 40 }), (steps) => {
      const { arena, root: head, places } = nodes(steps.map((_, k) => k));
      const expected: number[] = [];
      for (const [k, [behind, take, last]] of steps.entries()) {
        const place = places[k] as number;
        expect(pushToList(arena, head, place, behind)).toBe(0);
        expect(pushToList(arena, head, place, behind)).toBe(-ERRNO.EINVAL);
        if (behind) expected.push(place);
        else expected.unshift(place);
        if (take) expect(takeFromList(arena, head, last)).toBe((last ? expected.pop() : expected.shift()) ?? 0);
      }
      for (const place of expected) expect(takeFromList(arena, head, false)).toBe(place);
      expect(takeFromList(arena, head, true)).toBe(0);
    }),
  );
});
