import type { HostArguments } from "../../engine/helpers.js";
import { ERRNO } from "../../errors.js";
import { SlotMap } from "../../maps/slots.js";
import { StackTraceMap } from "../../maps/stack-trace.js";
import type { HelperContext, HelperEntry } from "./types.js";

/** Flags of the helpers of stacks. */
const Stack = { skip: 0xff, user: 0x100, fastCompare: 0x200, reuse: 0x400, buildId: 0x800 } as const;
/** `BPF_F_INDEX_MASK`, and `BPF_F_CURRENT_CPU`, which is all of it. */
const INDEX_MASK = 0xffffffff;
/** Bytes of `struct bpf_perf_event_value`. */
const PERF_VALUE_BYTES = 24;

const flagsOf = (args: HostArguments, k: number): number => (args.high(k) === 0 ? args.low(k) : ~0);

/** Copies a word of the context. */
function copyWord({ arena }: HelperContext, context: number, index: number, to: number): number {
  arena.u8.copyWithin(to, context + 8 * index, context + 8 * index + 8);
  return 0;
}

function functionArgument(args: HostArguments, context: HelperContext): number {
  const index = args.low(1);
  return index < context.trace().count ? copyWord(context, args.low(0), index, args.low(2)) : -ERRNO.EINVAL;
}

const functionResult = (args: HostArguments, context: HelperContext): number =>
  copyWord(context, args.low(0), context.trace().count, args.low(1));

/** Copies return addresses of the task that runs, or of the kernel (`__bpf_get_stack`). @returns bytes, or a negative errno */
function getStack(args: HostArguments, { arena, host }: HelperContext): number {
  const [to, size, flags] = [args.low(1), args.low(2), flagsOf(args, 3)];
  const user = (flags & Stack.user) !== 0;
  const fail = (errno: number): number => {
    arena.u8.fill(0, to, to + size);
    return -errno;
  };
  if ((flags & ~(Stack.skip | Stack.user | Stack.buildId)) !== 0 || size % 8 !== 0) return fail(ERRNO.EINVAL);
  if ((flags & Stack.buildId) !== 0) return fail(user ? ERRNO.EFAULT : ERRNO.EINVAL);
  const stack = host.stack?.(user) ?? null;
  const skip = flags & Stack.skip;
  if (stack === null || stack.length < skip) return fail(ERRNO.EFAULT);
  const bytes = Math.min(8 * (stack.length - skip), size);
  for (let k = 0; 8 * k < bytes; k++) {
    const { low, high } = stack[skip + k] ?? { low: 0, high: 0 };
    arena.view.setUint32(to + 8 * k, low, true);
    arena.view.setUint32(to + 8 * k + 4, high, true);
  }
  arena.u8.fill(0, to + bytes, to + size);
  return bytes;
}

/** Puts the stack of the task that runs, or of the kernel, into a map. @returns its number there, or a negative errno */
const getStackId = (args: HostArguments, { map, host }: HelperContext): number => {
  const into = map(args.low(1));
  const flags = flagsOf(args, 2);
  if ((flags & ~(Stack.skip | Stack.user | Stack.fastCompare | Stack.reuse)) !== 0) return -ERRNO.EINVAL;
  const stack = host.stack?.((flags & Stack.user) !== 0) ?? null;
  if (stack === null || !(into instanceof StackTraceMap)) return -ERRNO.EFAULT;
  return into.insert(Uint32Array.from(stack.flatMap(({ low, high }) => [low, high])), flags);
};

/** What the counter of a slot tells; there is none that counts. */
function readCounter(args: HostArguments, { map, cpu }: HelperContext): number {
  const events = map(args.low(0));
  if (args.high(1) !== 0) return -ERRNO.EINVAL;
  const index = args.low(1) === INDEX_MASK ? cpu() : args.low(1);
  if (index >= events.desc.maxEntries) return -ERRNO.E2BIG;
  return events instanceof SlotMap && events.word(index) !== 0 ? -ERRNO.EOPNOTSUPP : -ERRNO.ENOENT;
}

function readCounterValue(args: HostArguments, context: HelperContext): number {
  const [to, size] = [args.low(2), args.low(3)];
  const error = size === PERF_VALUE_BYTES ? readCounter(args, context) : -ERRNO.EINVAL;
  context.arena.u8.fill(0, to, to + size);
  return error;
}

const signal =
  (thread: boolean) =>
  (args: HostArguments, { host }: HelperContext): number =>
    host.sendSignal?.(args.low(0), thread) ?? -ERRNO.EPERM;

/** Writes the name of a path, ended by NUL. @returns its bytes with that, or a negative errno */
function path(args: HostArguments, { arena, host }: HelperContext): number {
  const [to, size] = [args.low(1), args.low(2)];
  if (size === 0) return 0;
  const name = host.path?.(args.low(0), args.high(0)) ?? null;
  if (name === null) return -ERRNO.EFAULT;
  if (name.length >= size) return -ERRNO.ENAMETOOLONG;
  arena.u8.set(name, to);
  arena.u8[to + name.length] = 0;
  return name.length + 1;
}

const copyFromUser = (args: HostArguments, { probe }: HelperContext): number =>
  probe(args.low(0), args.low(1), args.low(2), args.high(2), true) ? 0 : -ERRNO.EFAULT;

/** Reads memory of a task: of the one that runs, others are out of reach. */
function copyFromTask(args: HostArguments, context: HelperContext): number {
  const { arena, task } = context;
  if ((args.low(4) | args.high(4)) !== 0) return -ERRNO.EINVAL;
  if (args.low(1) === 0) return 0;
  const { low, high } = task().address;
  if (args.low(3) === low && args.high(3) === high) return copyFromUser(args, context);
  arena.u8.fill(0, args.low(0), args.low(0) + args.low(1));
  return -ERRNO.EFAULT;
}

/** Helpers that tell about what a program is attached to, and where it runs (kernel/trace/bpf_trace.c, kernel/bpf/stackmap.c). */
export const TRACING_HELPERS: readonly HelperEntry[] = [
  { id: 22, name: "perf_event_read", call: readCounter },
  { id: 27, name: "get_stackid", call: getStackId },
  { id: 55, name: "perf_event_read_value", call: readCounterValue },
  { id: 67, name: "get_stack", call: getStack },
  { id: 109, name: "send_signal", call: signal(false) },
  { id: 117, name: "send_signal_thread", call: signal(true) },
  // No CPU here records branches.
  {
    id: 119,
    name: "read_branch_records",
    call: (args) => ((flagsOf(args, 3) & ~1) !== 0 ? -ERRNO.EINVAL : -ERRNO.ENOENT),
  },
  { id: 141, name: "get_task_stack", call: getStack },
  { id: 147, name: "d_path", call: path },
  { id: 148, name: "copy_from_user", call: copyFromUser },
  {
    id: 173,
    name: "get_func_ip",
    call: (args, { trace }) => {
      const { low, high } = trace().ip;
      args.setResult(low, high);
      return undefined;
    },
  },
  {
    id: 174,
    name: "get_attach_cookie",
    call: (args, { trace }) => {
      const { low, high } = trace().cookie;
      args.setResult(low, high);
      return undefined;
    },
  },
  { id: 176, name: "get_branch_snapshot", call: (args) => (flagsOf(args, 2) !== 0 ? -ERRNO.EINVAL : -ERRNO.ENOENT) },
  { id: 183, name: "get_func_arg", call: functionArgument },
  { id: 184, name: "get_func_ret", call: functionResult },
  { id: 185, name: "get_func_arg_cnt", call: (_args, { trace }) => trace().count },
  { id: 191, name: "copy_from_user_task", call: copyFromTask },
];
