import type { Arena } from "../memory/arena.js";

/** A node of a trie: the length of its prefix in bits, whether it only parts others, the nodes that go on with 0 and with 1, and the prefix. */
export const NODE = { length: 0, between: 4, child: 8, data: 16 } as const;

/** Bits that the prefix of a node and a key have in common, at most as many as either has. @param size bytes of both */
export function commonBits(arena: Arena, node: number, key: number, size: number): number {
  const most = Math.min(arena.u32(node + NODE.length), arena.u32(key));
  const bytes = arena.u8;
  for (let k = 0; k < size && 8 * k < most; k++) {
    const differing = (bytes[node + NODE.data + k] as number) ^ (bytes[key + 4 + k] as number);
    if (differing !== 0) return Math.min(most, 8 * k + Math.clz32(differing) - 24);
  }
  return most;
}

/**
 * The element behind that of a key, in postorder; the first for a key that is 0 or gone.
 * @param root not 0
 * @returns 0 behind the last
 */
export function nextInPostorder(arena: Arena, root: number, key: number, size: number): number {
  const path = key === 0 || arena.u32(key) > 8 * size ? null : pathTo(arena, root, key, size);
  if (path === null) return first(arena, root);
  for (let k = path.length - 1; k > 0; k--) {
    const [parent, node] = [path[k - 1] as number, path[k] as number];
    const right = arena.u32(parent + NODE.child + 4);
    if (arena.u32(parent + NODE.child) === node && right !== 0) return first(arena, right);
    if (arena.u32(parent + NODE.between) === 0) return parent;
  }
  return 0;
}

/** The nodes down to the element of a key; null if it is not there. */
function pathTo(arena: Arena, root: number, key: number, size: number): number[] | null {
  const path: number[] = [];
  const length = arena.u32(key);
  for (let node = root; node !== 0; ) {
    path.push(node);
    const own = arena.u32(node + NODE.length);
    if (commonBits(arena, node, key, size) !== own) return null;
    if (own === length) return arena.u32(node + NODE.between) === 0 ? path : null;
    const byte = arena.u8[key + 4 + (own >>> 3)] as number;
    node = arena.u32(node + NODE.child + 4 * ((byte >>> (7 - (own & 7))) & 1));
  }
  return null;
}

/** The element below a node that is first in postorder. */
function first(arena: Arena, node: number): number {
  let found = 0;
  for (let at = node; at !== 0; ) {
    const left = arena.u32(at + NODE.child);
    if (arena.u32(at + NODE.between) !== 0) at = left;
    else {
      found = at;
      at = left === 0 ? arena.u32(at + NODE.child + 4) : left;
    }
  }
  return found;
}
