import { Assembler, ecx, edi, esi, rdx } from "@vm/asm";
import { expect, test } from "vitest";
import * as S from "../../src/state.js";
import { Random } from "../../tools/random.js";
import { CODE, DATA, FakeMachine, RAX, RDX } from "../fake-machine.js";

const interpreted = new FakeMachine();
const compiled = new FakeMachine({ jit: { threshold: 1, again: 1, batch: 1 } });
const ROUNDS = 16;
const _ELSEWHERE = DATA + 0x1000;

/** Executes `body` `ROUNDS` times; RDX counts. @returns what is to be seen then, and the share that regions had */
function repeat(machine: FakeMachine, body: (a: Assembler) => void) {
  const { vcpu } = machine;
  const a = new Assembler({ org: CODE });
  const again = a.label("again");
  a.bind(again);
  body(a);
  a.dec(rdx).jnz(again).hlt();
  machine.write(CODE, [...a.assemble()]);
  vcpu.setReg(RDX, ROUNDS, 0);
  vcpu.activity = "active";
  vcpu.setRip(CODE, 0);
  const before = [vcpu.i32(S.REGION_RETIRED), vcpu.retired] as const;
  expect(vcpu.run(10_000)).toEqual({ reason: "hlt" });
  const share = (vcpu.i32(S.REGION_RETIRED) - before[0]) / (vcpu.retired - before[1]);
  const memory = Buffer.from(machine.ram.subarray(DATA, DATA + 0x2000)).toString("hex");
  const registers = Buffer.from(vcpu.bytes(S.GPR, 128)).toString("hex");
  return { seen: { registers, memory, flags: vcpu.rflags, retired: vcpu.retired - before[1] }, share };
}

/** Does the same in both engines, each time from the same state. @returns the share of regions */
function likewise(prepare: (machine: FakeMachine) => void, body: (a: Assembler) => void): number {
  const [expected, found] = [interpreted, compiled].map((machine) => {
    prepare(machine);
    return repeat(machine, body);
  });
  expect(found?.seen).toEqual(expected?.seen);
  return found?.share ?? 0;
}

test("PCMPISTRI of bytes finds in regions what it finds in the interpreter, for every control byte", () => {
  const random = new Random(63);
  for (let control = 0; control < 0x80; control += 2)
    for (let round = 0; round < 12; round++) {
      // Few letters, so that there is much to be found; now and then the end.
      const letters = [0, 1, 2, 0x7f, 0x80, 0xff].slice(random.below(2), 3 + random.below(4));
      const operands = Array.from({ length: 32 }, () => random.pick(letters));
      const share = likewise(
        ({ vcpu }) => {
          operands.forEach((value, k) => {
            vcpu.setU8(S.XMM + k, value);
          });
        },
        (a) => a.emit([0x66, 0x0f, 0x3a, 0x63, 0xc1, control]),
      );
      expect(share).toBeGreaterThan(0.5);
    }
});

test("repeated MOVS and STOS are done in regions within a page, and are the interpreter's beyond", () => {
  const random = new Random(164);
  for (const [count, offset, inside] of [
    [0, 0, true],
    [1, 5, true],
    [100, 0x80, true],
    [200, 0xfc0, false],
  ] as const)
    for (const apart of [0x1000, 0x300, 3, 0])
      for (const name of ["movsb", "movsq", "stosb", "stosd", "stosq"] as const) {
        const from = DATA + offset;
        const value = random.oneIn(2) ? 0 : random.below(0x10000) * 0x10001;
        const share = likewise(
          (machine) => {
            for (let k = 0; k < 0x1000; k++) machine.ram[DATA + k] = (k * 7) & 0xff;
            machine.vcpu.setReg(RAX, value, value);
          },
          (a) =>
            a
              .mov(esi, from)
              .mov(edi, from + apart)
              .mov(ecx, count)
              .rep()
              [name](),
        );
        const repeats = name.startsWith("movs") && apart > 0 && apart < count * (name === "movsq" ? 8 : 1);
        const bytes = name === "stosb" || value === 0;
        if (inside && !repeats && (bytes || name.startsWith("movs")))
          expect([name, count, share > 0.5]).toEqual([name, count, true]);
      }
});
