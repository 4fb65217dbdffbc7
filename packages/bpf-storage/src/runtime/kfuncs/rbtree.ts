import type { HostArguments } from "../../engine/helpers.js";
import { KERNEL_HIGH } from "../../engine/layout.js";
import type { HelperContext } from "../helpers/types.js";
import { dropContaining } from "./objects.js";
import { addToTree, firstOfTree, removeFromTree, treeOf } from "./tree.js";
import type { KfuncEntry } from "./types.js";

/** Puts a node where the program's function says. */
function add(args: HostArguments, context: HelperContext): number {
  const { arena, callback } = context;
  const [root, node, less] = [args.low(0), args.low(1), args.low(2)];
  const error = addToTree(arena, root, node, (a, b) => (callback(less, [a, KERNEL_HIGH, b, KERNEL_HIGH]) & 0xff) !== 0);
  if (error !== 0) dropContaining(context, node);
  return error;
}

function remove(args: HostArguments, { arena }: HelperContext): undefined {
  const [root, node] = [args.low(0), args.low(1)];
  if (treeOf(arena, node) !== root) return;
  removeFromTree(arena, root, node);
  args.setPointer(node);
}

function first(args: HostArguments, { arena }: HelperContext): undefined {
  const node = firstOfTree(arena, args.low(0));
  if (node !== 0) args.setPointer(node);
}

/** Trees of objects that programs make (kernel/bpf/helpers.c). */
export const RBTREE_KFUNCS: readonly KfuncEntry[] = [
  { name: "bpf_rbtree_add_impl", call: add },
  { name: "bpf_rbtree_remove", call: remove },
  { name: "bpf_rbtree_first", call: first },
];
