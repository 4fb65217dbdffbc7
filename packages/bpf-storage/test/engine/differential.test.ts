import { i64, ModuleBuilder } from "@vm/wasm";
import { expect, test } from "vitest";
import { type Helper, KERNEL_HIGH, LOWEST_OBJECT, type Mode } from "../../src/engine/engine.js";
import { areaAt } from "../../src/engine/layout.js";
import { type Bench, bench, ENGINES } from "./harness.js";
import { HELPERS, randomProgram, WINDOW } from "./random-program.js";
import { randomFrom, value64 } from "./random-values.js";
import { type Outcome, reference } from "./reference.js";

/** Programs to compare; the default takes seconds. */
const PROGRAMS = Number(process.env.VM_BPF_PROGRAMS ?? 600);

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const first = (a: readonly bigint[]): bigint => u64((a[0] as bigint) + 3n * (a[1] as bigint) - (a[4] as bigint));
const second = (a: readonly bigint[]): bigint => u64(~(a[2] as bigint) ^ (a[3] as bigint));

const host = (compute: (args: readonly bigint[]) => bigint): Helper => ({
  kind: "host",
  call(args) {
    const result = compute([0, 1, 2, 3, 4].map((k) => args.big(k)));
    args.setResult(Number(result & 0xffffffffn), Number(result >> 32n));
  },
});

/** Helper 3: a1 - a5. */
function wasmHelper(): Helper {
  const m = new ModuleBuilder();
  const f = m.function(["i64", "i64", "i64", "i64", "i64"], "i64");
  f.value(i64.sub(f.param(0), f.param(4)));
  m.exportFunction("helper", f);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.bytes()));
  return { kind: "wasm", func: exports.helper as CallableFunction };
}

const compute = (id: number, args: readonly bigint[]): bigint => {
  if (id === HELPERS.first) return first(args);
  if (id === HELPERS.second) return second(args);
  return u64((args[0] as bigint) - (args[4] as bigint));
};

const table = new Map<number, Helper>([
  [HELPERS.first, host(first)],
  [HELPERS.second, host(second)],
  [HELPERS.wasm, wasmHelper()],
]);
const benches = ENGINES.map((engine) => ({ engine, on: bench({ helpers: (id) => table.get(id) }) }));

function execute(
  { engine, memory, window }: Bench,
  kind: (typeof ENGINES)[number],
  program: ReturnType<typeof randomProgram>,
  content: Uint8Array,
  mode: Mode,
  budget: number | undefined,
): { outcome: Outcome; content: Uint8Array } {
  const executable = engine.load(program, { engine: kind, mode, ...(budget === undefined ? {} : { budget }) });
  expect(executable.engine).toBe(kind);
  new Uint8Array(memory.buffer).set(content, window);
  engine.setWindow(0, window, window + WINDOW);
  executable.run(window, KERNEL_HIGH);
  executable.dispose();
  const { fault } = engine;
  const outcome =
    fault === null
      ? { kind: "returned", r0: (BigInt(engine.resultHigh) << 32n) | BigInt(engine.resultLow) }
      : { kind: fault.kind, pc: fault.pc, address: (BigInt(fault.addressHigh) << 32n) | BigInt(fault.addressLow) };
  return { outcome: outcome as Outcome, content: new Uint8Array(memory.buffer).slice(window, window + WINDOW) };
}

test(`${PROGRAMS} random programs end alike in both engines and in the reference`, () => {
  const kinds = new Map<string, number>();
  for (let seed = 1; seed <= PROGRAMS; seed++) {
    const next = randomFrom(seed ^ 0x5bd1e995);
    // One in four as the verifier lets them through, and without checks.
    const tame = seed % 4 === 0;
    const program = randomProgram(seed, tame);
    const content = new Uint8Array(WINDOW);
    const view = new DataView(content.buffer);
    for (let at = 0; at < WINDOW; at += 8) view.setBigUint64(at, value64(next), true);
    const budget = next() % 4 === 0 ? 1 + (next() % 400) : next() % 2 === 0 ? 1_000_000 : undefined;
    const expected = content.slice();
    const base = (BigInt(KERNEL_HIGH) << 32n) | BigInt(benches[0]?.on.window ?? 0);
    const outcome = reference({
      insns: program.insns,
      args: [base],
      ranges: [{ base, bytes: expected }],
      stackTop: (BigInt(KERNEL_HIGH) << 32n) | BigInt(areaAt(LOWEST_OBJECT).stackTop),
      helpers: compute,
      ...(budget === undefined ? {} : { budget }),
    });
    if (tame) expect(outcome.kind).not.toBe("memory");
    kinds.set(outcome.kind, (kinds.get(outcome.kind) ?? 0) + 1);
    for (const { engine, on } of benches) {
      const found = execute(on, engine, program, content, tame ? "trusted" : "checked", budget);
      expect(found, `${engine}, seed ${seed}`).toEqual({ outcome, content: expected });
    }
  }
  // Most return; of the others there are some of each kind.
  expect(kinds.get("returned")).toBeGreaterThan(PROGRAMS / 3);
  expect(kinds.get("memory")).toBeGreaterThan(PROGRAMS / 50);
  expect(kinds.get("budget")).toBeGreaterThan(PROGRAMS / 50);
});
