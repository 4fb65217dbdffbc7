import { KERNEL_HIGH } from "../engine/layout.js";
import type { SpecialField } from "../maps/map.js";
import { PERCPU_HEADER } from "./helpers/pointers.js";
import type { HelperContext } from "./helpers/types.js";
import { setPointer, takeFromList } from "./kfuncs/lists.js";
import { dropContaining, dropObject } from "./kfuncs/objects.js";
import { firstOfTree, removeFromTree } from "./kfuncs/tree.js";

/** Gives up the objects that fields of a map's value hold, and those in their lists and trees (`bpf_obj_free_fields`). */
export function releaseFields(context: HelperContext, fields: readonly SpecialField[], value: number): void {
  const { arena } = context;
  for (const { kind, offset } of fields) {
    const at = value + offset;
    if (kind === "kptr_ref" || kind === "kptr_percpu") {
      const [object, high] = [arena.u32(at), arena.u32(at + 4)];
      setPointer(arena, at, 0);
      // Objects of the kernel are the host's.
      if (object === 0 || high !== KERNEL_HIGH) continue;
      if (kind === "kptr_ref") dropObject(context, object);
      else context.rcu.call(() => arena.free(object - PERCPU_HEADER));
    } else if (kind === "bpf_list_head") {
      for (let node = takeFromList(arena, at, false); node !== 0; node = takeFromList(arena, at, false))
        dropContaining(context, node);
    } else if (kind === "bpf_rb_root") {
      for (let node = firstOfTree(arena, at); node !== 0; node = firstOfTree(arena, at)) {
        removeFromTree(arena, at, node);
        dropContaining(context, node);
      }
    }
  }
}
