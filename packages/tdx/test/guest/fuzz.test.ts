// Random TDCALLs, and random questions of the processor, from kernel and user: 2000 here; `VM_TDX_FUZZ=1000000` for a million. `VM_TDX_FUZZ_SEED` starts elsewhere.
import { describe, expect, it } from "vitest";
import { OpState } from "../../src/module/td.js";
import { fixed, knock, type Numbers, operand, world } from "./door.js";

const ROUNDS = Number(process.env.VM_TDX_FUZZ ?? 2000);
const SEED = Number(process.env.VM_TDX_FUZZ_SEED ?? 20261201);
const HOUR = 3_600_000;

/** Numbers of 32 bits, the same for the same seed. */
function random(seed: number): Numbers {
  let state = seed >>> 0 || 1;
  return (below = 2 ** 32) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

describe(`the door of a TD, ${ROUNDS} rounds from seed ${SEED}`, () => {
  it("answers any TDCALL with a known status, an exit or an exception, and lets nothing else through", {
    timeout: HOUR,
  }, () => {
    const next = random(SEED);
    let td = world();
    let before = fixed(td);
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 500 === 0) {
        expect(fixed(td)).toBe(before);
        td = world();
        before = fixed(td);
      }
      const { problem, status } = knock(td, next);
      if (problem !== undefined) expect.fail(`round ${round}: ${problem}`);
      if (status !== undefined) seen.add(status);
    }
    expect(fixed(td)).toBe(before);
    expect(td.td.opState).toBe(OpState.Runnable);
    for (const name of ["SUCCESS", "OPERAND_INVALID", "METADATA_FIELD_ID_INCORRECT", "NO_VALID_VE_INFO"])
      expect(seen).toContain(name);
  });

  it("answers any CPUID, MSR, port, control register and address as well", { timeout: HOUR }, () => {
    const next = random(SEED + 1);
    const td = world();
    const { cpu, door, vcpu } = td;
    const before = fixed(td);
    const access = () => (["read", "write", "fetch"] as const)[next(3)] ?? "read";
    const msr = () => [next(0x2000), 0xc000_0000 + next(0x2000), next()][next(3)] ?? 0;
    const questions = [
      () => door.cpuid(next(), next()),
      () => door.cpuid(next(0x24), next(20)),
      () => door.rdmsr(msr()),
      () => door.wrmsr(msr(), operand(next)),
      () => door.io({ port: next(0x1_0000), size: 4, isIn: next(2) === 0 }),
      () => door.controlRegister(next(9), operand(next), next(16)),
      () => door.xsetbv(next(3), operand(next)),
      () => door.privateViolation(next() * 4096, operand(next), access()),
      () => door.sharedViolation(2 ** 47 + next() * 16, operand(next), access(), next(2) === 0),
    ];
    const vectors = new Set([6, 8, 13, 20]);
    for (let round = 0; round < ROUNDS; round++) {
      cpu.cpl = next(2) * 3;
      cpu.injected.length = 0;
      if (next(3) !== 0) vcpu.veInfo.valid = false;
      const outcome = questions[next(questions.length)]?.();
      const exit = door.takeExit();
      const [[vector] = []] = cpu.injected;
      const isException = cpu.injected.length === 1 && vectors.has(vector ?? 0);
      const isRight =
        (exit !== undefined) === (outcome === "exit") &&
        (outcome === "exception" ? isException : cpu.injected.length === 0);
      if (!isRight) expect.fail(`round ${round}: ${outcome}, vector ${vector}, ${exit?.exit.reason}`);
    }
    expect(fixed(td)).toBe(before);
  });
});
