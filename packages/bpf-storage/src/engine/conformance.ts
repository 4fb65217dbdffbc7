import { BpfError } from "../errors.js";
import { decodeInsns } from "../isa/insn.js";
import { Engine, KERNEL_HIGH, LOWEST_OBJECT, type LoadOptions } from "./engine.js";
import type { Helper, HelperTable } from "./helpers.js";
import { functionsOf } from "./program.js";

/** A program of the suite github.com/Alan-Jowett/bpf_conformance, as its runner gives it to a plugin. */
export interface ConformanceCase {
  /** Instructions, little-endian. */
  readonly program: Uint8Array;
  /** What r1 points to; r2 is its length. Without it both are 0. */
  readonly memory?: Uint8Array;
  readonly engine: LoadOptions["engine"];
}

/** Instructions after which a program is taken to be endless. */
const BUDGET = 10_000_000;
const PAGE = 0x10000;

/** Thrown by `unwind`, through the program. */
class Unwound extends Error {}

/** Helper 5, which ends the program if its argument, which it returns, is 0. The suite calls no other. */
const unwind: Helper = {
  kind: "host",
  call(args) {
    if (args.low(0) === 0 && args.high(0) === 0) throw new Unwound();
    args.setResult(args.low(0), args.high(0));
  },
};
const helpers: HelperTable = (id) => (id === 5 ? unwind : undefined);

/**
 * Executes a program without verifying it, each access checked.
 * @returns r0 in hexadecimal, without 0x
 * @throws {BpfError} EINVAL for a malformed program, EFAULT for one that ended with a fault
 */
export function runConformance({ program, memory: content, engine: kind }: ConformanceCase): string {
  const memory = new WebAssembly.Memory({ initial: 8 });
  let next = LOWEST_OBJECT;
  const allocate = (bytes: number): number => {
    const offset = next;
    next = (next + bytes + 15) & ~15;
    const missing = next - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
    return offset;
  };
  const engine = new Engine({ memory, allocate, free: () => undefined, helpers });
  const insns = decodeInsns(program);
  const executable = engine.load(
    { insns, subprograms: functionsOf(insns) },
    { engine: kind, mode: "checked", budget: BUDGET },
  );
  const bytes = content ?? new Uint8Array(0);
  const offset = allocate(bytes.length);
  new Uint8Array(memory.buffer).set(bytes, offset);
  engine.setWindow(0, offset, offset + bytes.length);
  try {
    if (bytes.length === 0) executable.run(0, 0);
    else executable.run(offset, KERNEL_HIGH, bytes.length);
  } catch (error) {
    if (error instanceof Unwound) return "0";
    throw error;
  }
  const { fault } = engine;
  if (fault !== null) throw new BpfError("EFAULT", `${fault.kind} fault at instruction ${fault.pc}`);
  return ((BigInt(engine.resultHigh) << 32n) | BigInt(engine.resultLow)).toString(16);
}
