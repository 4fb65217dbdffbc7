import type { HostArguments } from "../../engine/helpers.js";
import { KERNEL_HIGH } from "../../engine/layout.js";
import { PERCPU_HEADER } from "../helpers/pointers.js";
import type { HelperContext } from "../helpers/types.js";
import { pushToList, takeFromList } from "./lists.js";
import { firstOfTree, removeFromTree } from "./tree.js";
import type { KfuncEntry } from "./types.js";

const CPU_ALIGN = 8;

/** What a type of the program's is made of, by its number. */
const layoutOf = (args: HostArguments, { program }: HelperContext) => program()?.objectLayout?.(args.low(0)) ?? null;

/** Makes an object of a type that is known by its number in the program's types. */
function make(args: HostArguments, context: HelperContext): undefined {
  const layout = layoutOf(args, context);
  const at = layout === null ? 0 : context.arena.alloc(layout.size);
  if (layout === null || at === 0) return;
  context.objects.set(at, layout);
  if (layout.refcount !== null) context.arena.setU32(at + layout.refcount, 1);
  args.setPointer(at);
}

/** An object is given up: it is gone with the last reference to it, and what it holds with it. */
export function dropObject(context: HelperContext, at: number): void {
  const { arena, objects, rcu } = context;
  const layout = objects.get(at);
  if (layout === undefined) return;
  if (layout.refcount !== null) {
    const left = arena.u32(at + layout.refcount) - 1;
    arena.setU32(at + layout.refcount, left);
    if (left !== 0) return;
  }
  objects.delete(at);
  for (const list of layout.lists)
    for (let node = takeFromList(arena, at + list, false); node !== 0; node = takeFromList(arena, at + list, false))
      dropContaining(context, node);
  for (const tree of layout.trees)
    for (let node = firstOfTree(arena, at + tree); node !== 0; node = firstOfTree(arena, at + tree)) {
      removeFromTree(arena, at + tree, node);
      dropContaining(context, node);
    }
  for (const pointer of layout.objects) {
    const kept = arena.u32(at + pointer);
    if (kept !== 0 && arena.u32(at + pointer + 4) === KERNEL_HIGH) dropObject(context, kept);
  }
  // Programs may still read what RCU protects.
  rcu.call(() => arena.free(at));
}

/** Gives up the object that a place lies in, of which a node of a list or a tree knows no more. */
export function dropContaining(context: HelperContext, place: number): void {
  for (const [at, { size }] of context.objects)
    if (place >= at && place < at + size) {
      dropObject(context, at);
      return;
    }
}

function makePerCpu(args: HostArguments, context: HelperContext): undefined {
  const layout = layoutOf(args, context);
  if (layout === null) return;
  const stride = (layout.size + CPU_ALIGN - 1) & ~(CPU_ALIGN - 1);
  const block = context.arena.alloc(PERCPU_HEADER + stride * context.cpus);
  if (block === 0) return;
  context.arena.setU32(block, stride);
  args.setPointer(block + PERCPU_HEADER);
}

function dropPerCpu(args: HostArguments, { arena, rcu }: HelperContext): undefined {
  const block = args.low(0) - PERCPU_HEADER;
  rcu.call(() => arena.free(block));
}

/** One more reference; none if there was none left. */
function acquire(args: HostArguments, { arena, objects }: HelperContext): undefined {
  const at = args.low(0);
  const place = objects.get(at)?.refcount ?? null;
  if (place === null || arena.u32(at + place) === 0) return;
  arena.setU32(at + place, arena.u32(at + place) + 1);
  args.setPointer(at);
}

const push =
  (behind: boolean) =>
  (args: HostArguments, context: HelperContext): number => {
    const [head, node] = [args.low(0), args.low(1)];
    const error = pushToList(context.arena, head, node, behind);
    if (error !== 0) dropContaining(context, node);
    return error;
  };

const pop =
  (behind: boolean) =>
  (args: HostArguments, { arena }: HelperContext): undefined => {
    const node = takeFromList(arena, args.low(0), behind);
    if (node !== 0) args.setPointer(node);
  };

/** Objects that programs make, and their lists (kernel/bpf/helpers.c). */
export const OBJECT_KFUNCS: readonly KfuncEntry[] = [
  { name: "bpf_obj_new_impl", call: make },
  {
    name: "bpf_obj_drop_impl",
    call: (args, context) => {
      dropObject(context, args.low(0));
      return undefined;
    },
  },
  { name: "bpf_percpu_obj_new_impl", call: makePerCpu },
  { name: "bpf_percpu_obj_drop_impl", call: dropPerCpu },
  { name: "bpf_refcount_acquire_impl", call: acquire },
  { name: "bpf_list_push_front_impl", call: push(false) },
  { name: "bpf_list_push_back_impl", call: push(true) },
  { name: "bpf_list_pop_front", call: pop(false) },
  { name: "bpf_list_pop_back", call: pop(true) },
];
