import type { HostArguments } from "../../engine/helpers.js";
import type { HelperContext } from "../helpers/types.js";
import type { KfuncEntry } from "./types.js";

/** `struct bpf_cpumask`: a bit for each of 8192 CPUs, and the count of references behind them; bytes. */
const MASK_BYTES = 1024;
const USAGE = MASK_BYTES;

type Bits = Uint8Array;

/** A copy of the mask at argument `k`, wherever that is; bits beyond the last CPU are clear. */
function mask(args: HostArguments, { arena, probe, cpus }: HelperContext, k: number): Bits {
  const size = Math.ceil(cpus / 8);
  const at = arena.alloc(size);
  if (at === 0) return new Uint8Array(size);
  probe(at, size, args.low(k), args.high(k), false);
  const bits = arena.read(at, size);
  arena.free(at);
  if (cpus % 8 !== 0) bits[size - 1] = (bits[size - 1] as number) & ((1 << (cpus % 8)) - 1);
  return bits;
}

const has = (bits: Bits, cpu: number): boolean => (((bits[cpu >>> 3] ?? 0) >> (cpu & 7)) & 1) !== 0;

/** The first CPU for which that holds; as many as there are if none. */
function find(cpus: number, holds: (cpu: number) => boolean): number {
  for (let cpu = 0; cpu < cpus; cpu++) if (holds(cpu)) return cpu;
  return cpus;
}

const reader =
  (tell: (bits: Bits, cpus: number) => number) =>
  (args: HostArguments, context: HelperContext): number =>
    tell(mask(args, context, 0), context.cpus);

const pairReader =
  (tell: (a: Bits, b: Bits, cpus: number) => number) =>
  (args: HostArguments, context: HelperContext): number =>
    tell(mask(args, context, 0), mask(args, context, 1), context.cpus);

/** Writes what comes of two masks, byte by byte, into a third. @returns whether there is a bit in it */
const combine =
  (result: (a: number, b: number) => number, told: boolean) =>
  (args: HostArguments, context: HelperContext): number | undefined => {
    const [a, b] = [mask(args, context, 1), mask(args, context, 2)];
    const bits = a.map((byte, k) => result(byte, b[k] ?? 0));
    context.arena.u8.set(bits, args.low(0));
    if (!told) return undefined;
    return bits.some((byte) => byte !== 0) ? 1 : 0;
  };

/** Changes the bit of a CPU, and tells what it was; nothing of a CPU that is not there. */
const change =
  (to: boolean | null, told: boolean) =>
  (args: HostArguments, context: HelperContext): number | undefined => {
    const cpu = args.low(0);
    if (cpu >= context.cpus) return told ? 0 : undefined;
    const was = has(mask(args, context, 1), cpu);
    if (to !== null) {
      const at = args.low(1) + (cpu >>> 3);
      const bit = 1 << (cpu & 7);
      const byte = context.arena.u8[at] as number;
      context.arena.u8[at] = to ? byte | bit : byte & ~bit;
    }
    return told ? Number(was) : undefined;
  };

const fill =
  (value: boolean) =>
  (args: HostArguments, { arena, cpus }: HelperContext): undefined => {
    const at = args.low(0);
    arena.u8.fill(0, at, at + MASK_BYTES);
    for (let cpu = 0; value && cpu < cpus; cpu++)
      arena.u8[at + (cpu >>> 3)] = (arena.u8[at + (cpu >>> 3)] as number) | (1 << (cpu & 7));
  };

function create(args: HostArguments, { arena }: HelperContext): undefined {
  const at = arena.alloc(MASK_BYTES + 8);
  if (at === 0) return;
  arena.setU32(at + USAGE, 1);
  args.setPointer(at);
}

function acquire(args: HostArguments, { arena }: HelperContext): undefined {
  const at = args.low(0);
  arena.setU32(at + USAGE, arena.u32(at + USAGE) + 1);
  args.setPointer(at);
}

function release(args: HostArguments, { arena, rcu }: HelperContext): undefined {
  const at = args.low(0);
  const left = arena.u32(at + USAGE) - 1;
  arena.setU32(at + USAGE, left);
  if (left === 0) rcu.call(() => arena.free(at));
}

function copy(args: HostArguments, context: HelperContext): undefined {
  context.arena.u8.set(mask(args, context, 1), args.low(0));
}

const any = (bits: Bits): boolean => bits.some((byte) => byte !== 0);
const common = (a: Bits, b: Bits, cpus: number): number => find(cpus, (cpu) => has(a, cpu) && has(b, cpu));
const first = (bits: Bits, cpus: number): number => find(cpus, (cpu) => has(bits, cpu));

/** Masks of CPUs (kernel/bpf/cpumask.c). Of several that would do, the first is taken. */
export const CPUMASK_KFUNCS: readonly KfuncEntry[] = (
  [
    ["create", create],
    ["acquire", acquire],
    ["release", release],
    ["first", reader(first)],
    ["first_zero", reader((bits, cpus) => find(cpus, (cpu) => !has(bits, cpu)))],
    ["first_and", pairReader(common)],
    ["set_cpu", change(true, false)],
    ["clear_cpu", change(false, false)],
    ["test_cpu", change(null, true)],
    ["test_and_set_cpu", change(true, true)],
    ["test_and_clear_cpu", change(false, true)],
    ["setall", fill(true)],
    ["clear", fill(false)],
    ["and", combine((a, b) => a & b, true)],
    ["or", combine((a, b) => a | b, false)],
    ["xor", combine((a, b) => a ^ b, false)],
    ["equal", pairReader((a, b) => Number(a.every((byte, k) => byte === b[k])))],
    ["intersects", pairReader((a, b) => Number(a.some((byte, k) => (byte & (b[k] ?? 0)) !== 0)))],
    ["subset", pairReader((a, b) => Number(a.every((byte, k) => (byte & ~(b[k] ?? 0)) === 0)))],
    ["empty", reader((bits) => Number(!any(bits)))],
    ["full", reader((bits, cpus) => Number(find(cpus, (cpu) => !has(bits, cpu)) === cpus))],
    ["copy", copy],
    ["any_distribute", reader(first)],
    ["any_and_distribute", pairReader(common)],
    ["weight", reader((bits, cpus) => Array.from({ length: cpus }, (_, cpu) => has(bits, cpu)).filter(Boolean).length)],
  ] as const
).map(([name, call]) => ({ name: `bpf_cpumask_${name}`, call }));
