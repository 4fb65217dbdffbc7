import { afterAll, expect, test } from "vitest";
import { ProgramType } from "../../src/uapi/program-types.js";
import { ENGINES } from "./harness.js";
import { digests, kernelCases } from "./kernel-cases.js";
import recorded from "./kernel-cases.json" with { type: "json" };
import { KernelFunctions, kfuncCases } from "./kernel-kfuncs.js";
import { KERNEL_TYPES, kernelProgram } from "./kernel-program.js";
import { type Case, Kernel } from "./kernel-run.js";
import { WINDOW } from "./random-program.js";
import { randomFrom, value64 } from "./random-values.js";
import { Ours } from "./runtime-run.js";

/** How many random programs the running kernel judges; it takes root, Linux and a C compiler. */
const PROGRAMS = Number(process.env.VM_BPF_TEST_RUN ?? 0);
const FIRST = Number(process.env.VM_BPF_TEST_RUN_FIRST ?? 1);
const BATCH = 200;

/** A frame of Ethernet with a header of IPv4, and data. */
function frame(next: () => number): Uint8Array {
  const bytes = Uint8Array.from({ length: 40 + (next() % 60) }, () => next());
  bytes.set(next() % 4 === 0 ? [0x81, 0x00] : [0x08, 0x00], 12);
  if (next() % 2 === 0) bytes.fill(0, 0, 12);
  return bytes;
}

function caseOf(seed: number): Case & { readonly subprograms: readonly number[] } {
  const next = randomFrom(seed ^ 0x2545f491);
  const type = KERNEL_TYPES[seed % KERNEL_TYPES.length] as ProgramType;
  const value = new Uint8Array(WINDOW);
  const view = new DataView(value.buffer);
  for (let at = 0; at < WINDOW; at += 8) view.setBigUint64(at, value64(next), true);
  const context = Uint8Array.from({ length: 96 }, () => next());
  const isPacket = type !== ProgramType.Syscall && type !== ProgramType.RawTracepoint;
  const none = new Uint8Array();
  return {
    type,
    ...kernelProgram(type, seed),
    data: isPacket ? frame(next) : none,
    context: isPacket ? none : context,
    value,
  };
}

// It takes root on Linux and a compiler, and minutes.
if (PROGRAMS === 0) test.skip("VM_BPF_TEST_RUN does not say how many programs the kernel is to judge", () => undefined);
else {
  const kernel = new Kernel();
  const ours = ENGINES.map((engine) => ({ engine, on: new Ours(engine) }));
  afterAll(() => kernel.close());

  test("helpers and contexts tell what they tell in the kernel, and what is recorded of it", {
    timeout: 300_000,
  }, () => {
    const cases = kernelCases();
    const told = kernel.run(cases).map((ran) => (ran.kind === "ok" ? { ...ran, context: "" } : ran));
    for (const { engine, on } of ours)
      for (const [k, one] of cases.entries())
        expect({ ...on.run(one, [0]), context: "" }, `${engine}, ${one.name}`).toEqual(told[k]);
    expect(digests(cases, told)).toEqual(recorded);
  });

  test("functions of the kernel tell what they tell there", { timeout: 300_000 }, () => {
    const functions = new KernelFunctions();
    const cases = kfuncCases(functions);
    const told = kernel.run(cases).map((ran) => (ran.kind === "ok" ? { ...ran, context: "" } : ran));
    for (const engine of ENGINES) {
      const on = new Ours(engine, (id) => functions.name(id));
      for (const [k, one] of cases.entries())
        expect({ ...on.run(one, [0]), context: "" }, `${engine}, ${one.name}`).toEqual(told[k]);
    }
  });

  test(`${PROGRAMS} random programs do here what they do in the kernel`, { timeout: 3_600_000 }, () => {
    const ran = new Map<string, number>();
    for (let first = FIRST; first < FIRST + PROGRAMS; first += BATCH) {
      const cases = Array.from({ length: Math.min(BATCH, FIRST + PROGRAMS - first) }, (_, k) => caseOf(first + k));
      for (const [k, told] of kernel.run(cases).entries()) {
        const { subprograms, ...one } = cases[k] as (typeof cases)[number];
        const key = `${one.type} ${told.kind}`;
        ran.set(key, (ran.get(key) ?? 0) + 1);
        if (told.kind !== "ok") continue;
        // Where packets are, 32 bits say: only what is verified gets at them.
        for (const trusted of one.data.length === 0 ? [true, false] : [true])
          for (const { engine, on } of ours)
            expect(on.run(one, subprograms, trusted), `${engine}, trusted ${trusted}, seed ${first + k}`).toEqual(told);
      }
    }
    process.stdout.write(
      `${[...ran]
        .sort()
        .map(([key, count]) => `type ${key}: ${count}`)
        .join("\n")}\n`,
    );
    const executed = [...ran].reduce((sum, [key, count]) => sum + (key.endsWith("ok") ? count : 0), 0);
    expect(executed).toBeGreaterThan(PROGRAMS / 2);
  });
}
