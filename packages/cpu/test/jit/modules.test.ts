import { describe, expect, test } from "vitest";
import { CODE, EngineMachine, halves } from "../../tools/engines/machine.js";

/** More than modules of regions are kept. */
const ROUTINES = 800;
const ROUNDS = 6;
const MAIN = CODE;
const FIRST = CODE + 0x2000;

const dword = (value: number): number[] => [0, 8, 16, 24].map((shift) => (value >> shift) & 0xff);

/** Calls every routine in turn, over and over; each adds its number to RAX. Returns RAX at the end. */
function run(machine: EngineMachine): bigint {
  machine.reset(0n, 0);
  // add rax, number; ret
  const routine = (k: number): number[] => [0x48, 0x05, ...dword(k), 0xc3];
  const length = routine(0).length;
  for (let k = 0; k < ROUTINES; k++) machine.write(FIRST + k * length, routine(k));
  // mov ecx, rounds; again: call ...; dec ecx; jnz again; hlt
  const again = MAIN + 5;
  const calls = Array.from({ length: ROUTINES }, (_, k) => {
    const next = again + 5 * (k + 1);
    return [0xe8, ...dword(FIRST + k * length - next)];
  });
  const end = again + 5 * ROUTINES;
  const code = [0xb9, ...dword(ROUNDS), ...calls.flat(), 0xff, 0xc9, 0x0f, 0x85, ...dword(again - (end + 8)), 0xf4];
  machine.write(MAIN, code);
  machine.vcpu.setRip(...halves(BigInt(MAIN)));
  machine.vcpu.setReg(4, 0x17800, 0);
  expect(machine.vcpu.run(1_000_000)).toEqual({ reason: "hlt" });
  return BigInt(machine.vcpu.regLo(0));
}

describe("modules of regions", () => {
  test("that are too many go, oldest first: what they did is interpreted, and compiled again", () => {
    const sum = BigInt((ROUNDS * (ROUTINES * (ROUTINES - 1))) / 2);
    const interpreter = new EngineMachine();
    expect(run(interpreter)).toBe(sum);
    const machine = new EngineMachine({ threshold: 1, again: 1, batch: 1 });
    expect(run(machine)).toBe(sum);
    expect(machine.retired).toBe(interpreter.retired);
    const { modules, counts } = machine.jit as NonNullable<EngineMachine["jit"]>;
    expect(counts.modules).toBeGreaterThan(ROUTINES);
    expect(modules.evicted).toBeGreaterThan(0);
    expect(modules.count).toBeLessThan(ROUTINES);
    expect(counts.modules).toBe(modules.count + modules.evicted);
  });

  test("go all at once with the code that they were made of, and their bytes with them", () => {
    const machine = new EngineMachine({ threshold: 1, again: 1, batch: 1 });
    const first = run(machine);
    machine.code.reset();
    expect(run(machine)).toBe(first);
    const { modules, counts } = machine.jit as NonNullable<EngineMachine["jit"]>;
    expect(counts.modules).toBe(modules.count + modules.evicted);
    expect(modules.bytes).toBeLessThan(counts.bytes);
  });
});
