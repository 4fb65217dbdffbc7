import { KERNEL_HIGH } from "../../engine/layout.js";
import { ERRNO } from "../../errors.js";
import type { Arena } from "../../memory/arena.js";

/** `struct bpf_list_head` and `struct bpf_list_node`: pointers to the next and the one before, and, of a node, to the head of the list that it is in. Bytes. */
const [NEXT, PREVIOUS, OWNER] = [0, 8, 16];

/** Writes a pointer; 0 is none. */
export function setPointer(arena: Arena, at: number, to: number): void {
  arena.setU32(at, to);
  arena.setU32(at + 4, to === 0 ? 0 : KERNEL_HIGH);
}

function link(arena: Arena, before: number, after: number): void {
  setPointer(arena, before + NEXT, after);
  setPointer(arena, after + PREVIOUS, before);
}

/** A head that is still zero is that of an empty list. */
function begin(arena: Arena, head: number): void {
  if (arena.u32(head + NEXT) === 0) link(arena, head, head);
}

/** Puts a node in front of a list, or behind it. @returns -EINVAL if it is in a list already */
export function pushToList(arena: Arena, head: number, node: number, behind: boolean): number {
  begin(arena, head);
  if (arena.u32(node + OWNER) !== 0) return -ERRNO.EINVAL;
  const before = behind ? arena.u32(head + PREVIOUS) : head;
  const after = arena.u32(before + NEXT);
  link(arena, before, node);
  link(arena, node, after);
  setPointer(arena, node + OWNER, head);
  return 0;
}

/** Takes the first node out of a list, or the last; 0 if there is none. */
export function takeFromList(arena: Arena, head: number, behind: boolean): number {
  begin(arena, head);
  const node = arena.u32(head + (behind ? PREVIOUS : NEXT));
  if (node === head) return 0;
  link(arena, arena.u32(node + PREVIOUS), arena.u32(node + NEXT));
  link(arena, node, node);
  setPointer(arena, node + OWNER, 0);
  return node;
}
