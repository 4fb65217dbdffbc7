import type { HostArguments } from "../../engine/helpers.js";
import { KERNEL_HIGH } from "../../engine/layout.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Exchanges a pointer that a map or an object keeps. */
function exchange(args: HostArguments, { arena }: HelperContext): undefined {
  const at = args.low(0);
  args.setResult(arena.u32(at), arena.u32(at + 4));
  arena.setU32(at, args.low(1));
  arena.setU32(at + 4, args.high(1));
}

/** The part that a CPU has of what each has: of an object of a program's own, or of a variable of the kernel. */
function ofCpu(args: HostArguments, { arena, host, cpus }: HelperContext, cpu: number): undefined {
  if (cpu >= cpus) return;
  const [low, high] = [args.low(0), args.high(0)];
  if (high === KERNEL_HIGH) {
    args.setPointer(low + cpu * arena.u32(low - PERCPU_HEADER));
    return;
  }
  const found = host.perCpu?.(low, high, cpu) ?? { low: 0, high: 0 };
  args.setResult(found.low, found.high);
}

/** In front of an object that each CPU has a part of: bytes from one to the next, in a word. */
export const PERCPU_HEADER = 16;

/** Helpers of pointers that are kept, and of what each CPU has its own of (kernel/bpf/helpers.c). */
export const POINTER_HELPERS: readonly HelperEntry[] = [
  { id: 153, name: "per_cpu_ptr", call: (args, context) => ofCpu(args, context, args.low(1)) },
  { id: 154, name: "this_cpu_ptr", call: (args, context) => ofCpu(args, context, context.cpu()) },
  { id: 194, name: "kptr_xchg", call: exchange },
];
