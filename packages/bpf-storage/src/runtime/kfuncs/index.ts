import { CPUMASK_KFUNCS } from "./cpumasks.js";
import { DYNPTR_KFUNCS } from "./dynptrs.js";
import { ITERATOR_KFUNCS } from "./iterators.js";
import { OBJECT_KFUNCS } from "./objects.js";
import { RBTREE_KFUNCS } from "./rbtree.js";
import { REFERENCE_KFUNCS } from "./references.js";
import { REGION_KFUNCS } from "./regions.js";
import type { KfuncEntry } from "./types.js";

/** A pointer of whatever type is read as one of another: loads by it may fail. */
const CAST: KfuncEntry = {
  name: "bpf_rdonly_cast",
  call: (args) => {
    args.setResult(args.low(0), args.high(0));
    return undefined;
  },
};

/** Functions of the kernel that the runtime executes, by name. */
export const KFUNCS: ReadonlyMap<string, KfuncEntry> = new Map(
  [
    CAST,
    ...REGION_KFUNCS,
    ...ITERATOR_KFUNCS,
    ...DYNPTR_KFUNCS,
    ...OBJECT_KFUNCS,
    ...RBTREE_KFUNCS,
    ...CPUMASK_KFUNCS,
    ...REFERENCE_KFUNCS,
  ].map((entry) => [entry.name, entry]),
);
