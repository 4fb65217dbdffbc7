import { ERRNO } from "../../errors.js";
import type { Arena } from "../../memory/arena.js";
import { setPointer } from "./lists.js";

/**
 * `struct bpf_rb_node` as it is here: pointers to the node above, to the right, to the left, and to the root of the tree that it is in. Of `struct
 * bpf_rb_root` only the first pointer is used. Bytes.
 *
 * Where the kernel keeps trees level by colours, here nodes have priorities, which are hashes of their places: the one above has the greater. The order of
 * nodes is the same.
 */
const [PARENT, RIGHT, LEFT, OWNER] = [0, 8, 16, 24];
const ROOT = 0;

const priority = (node: number): number => Math.imul(node >>> 4, 0x9e3779b1) >>> 0;

/** Where the pointer to a node is: in the node above, or in the root. */
function placeOf(arena: Arena, root: number, node: number): number {
  const parent = arena.u32(node + PARENT);
  if (parent === 0) return root + ROOT;
  return parent + (arena.u32(parent + LEFT) === node ? LEFT : RIGHT);
}

function attach(arena: Arena, place: number, parent: number, node: number): void {
  setPointer(arena, place, node);
  if (node !== 0) setPointer(arena, node + PARENT, parent);
}

/** Turns a node and the one above it, which is then below it. */
function rotateUp(arena: Arena, root: number, node: number): void {
  const parent = arena.u32(node + PARENT);
  const [near, far] = arena.u32(parent + LEFT) === node ? [LEFT, RIGHT] : [RIGHT, LEFT];
  const place = placeOf(arena, root, parent);
  const above = arena.u32(parent + PARENT);
  attach(arena, parent + near, parent, arena.u32(node + far));
  attach(arena, node + far, node, parent);
  attach(arena, place, above, node);
}

/** The node that comes first; 0 if there is none. */
export function firstOfTree(arena: Arena, root: number): number {
  let node = arena.u32(root + ROOT);
  for (let left = node; left !== 0; left = arena.u32(node + LEFT)) node = left;
  return node;
}

/** Takes a node out of the tree that it is in. */
export function removeFromTree(arena: Arena, root: number, node: number): void {
  for (;;) {
    const [left, right] = [arena.u32(node + LEFT), arena.u32(node + RIGHT)];
    if (left === 0 || right === 0) {
      attach(arena, placeOf(arena, root, node), arena.u32(node + PARENT), left === 0 ? right : left);
      break;
    }
    rotateUp(arena, root, priority(left) > priority(right) ? left : right);
  }
  for (const field of [PARENT, RIGHT, LEFT, OWNER]) setPointer(arena, node + field, 0);
}

/**
 * Puts a node behind all that it is not less than.
 * @param less whether the first comes in front of the second
 * @returns -EINVAL if it is in a tree already
 */
export function addToTree(arena: Arena, root: number, node: number, less: (a: number, b: number) => boolean): number {
  if (arena.u32(node + OWNER) !== 0) return -ERRNO.EINVAL;
  let [place, parent] = [root + ROOT, 0];
  for (let next = arena.u32(place); next !== 0; next = arena.u32(place)) {
    parent = next;
    place = parent + (less(node, parent) ? LEFT : RIGHT);
  }
  for (const field of [PARENT, RIGHT, LEFT]) setPointer(arena, node + field, 0);
  attach(arena, place, parent, node);
  for (let above = parent; above !== 0 && priority(above) < priority(node); above = arena.u32(node + PARENT))
    rotateUp(arena, root, node);
  setPointer(arena, node + OWNER, root);
  return 0;
}

/** The root of the tree that a node is in; 0 if it is in none. */
export const treeOf = (arena: Arena, node: number): number => arena.u32(node + OWNER);
