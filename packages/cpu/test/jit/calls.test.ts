import { Assembler, eax, ecx, edx, type Label, mem, rbx, rsp } from "@vm/asm";
import { expect, test } from "vitest";
import * as S from "../../src/state.js";
import { CODE, EngineMachine, halves, STACK } from "../../tools/engines/machine.js";

const REGIONS = { threshold: 1, again: 1, batch: 1 };
const ROUNDS = 40;
const LIMIT = 100_000;

/** What is to be seen each time that control comes back from a program, a slice of instructions at a time until it halts. */
function run(code: Uint8Array, jit: typeof REGIONS | undefined, slice: number): { seen: number[][]; entries: number } {
  const machine = new EngineMachine(jit);
  const { vcpu } = machine;
  machine.reset(0n, 0);
  machine.write(CODE, [...code]);
  vcpu.setRip(...halves(BigInt(CODE)));
  vcpu.setReg(4, STACK, 0);
  const seen: number[][] = [];
  while (seen.length * slice < LIMIT) {
    const { reason } = vcpu.run(slice);
    seen.push([...[0, 1, 2, 3, 4].map((number) => vcpu.regLo(number)), vcpu.rflags, vcpu.retired]);
    if (reason === "hlt") return { seen, entries: vcpu.i32(S.REGION_ENTRIES) };
  }
  throw new Error("the program does not halt");
}

/**
 * A program that calls a function `ROUNDS` times through a pointer, RBX: mov ecx, rounds; again: mov eax, depth; call rbx; behind: inc edx;
 * dec ecx; jnz again; hlt.
 */
function calling(depth: number, callee: (a: Assembler, behind: Label) => void): Uint8Array {
  const a = new Assembler({ org: CODE });
  const [called, again, behind] = [a.label("called"), a.label("again"), a.label("behind")];
  a.lea(rbx, mem(called)).xor(edx, edx).mov(ecx, ROUNDS);
  a.bind(again).mov(eax, depth).call(rbx);
  a.bind(behind).inc(edx).dec(ecx).jnz(again).hlt();
  a.bind(called);
  callee(a, behind);
  return a.assemble();
}

/** called: inc edx; dec eax; jz leaf; call rbx; inc edx; leaf: ret */
const recursion = (depth: number): Uint8Array =>
  calling(depth, (a) => {
    const leaf = a.label("leaf");
    a.inc(edx).dec(eax).jz(leaf).call(rbx).inc(edx);
    a.bind(leaf).ret();
  });

/** The same in slices of any length. */
function likewise(code: Uint8Array): void {
  for (const slice of [LIMIT, 1000, 97, 7])
    expect(run(code, REGIONS, slice).seen).toEqual(run(code, undefined, slice).seen);
}

test("functions called through a pointer return, however deep they call", () => {
  for (const depth of [1, 2, 30, 100]) likewise(recursion(depth));
});

test("regions wait for the return of what they call, and are not entered again for it", () => {
  const depth = 30;
  expect(run(recursion(depth), REGIONS, LIMIT).entries).toBeLessThan(1.2 * depth * ROUNDS);
});

test("a function may return to somewhere else, or not at all", () => {
  const skipped = 2;
  likewise(calling(1, (a) => a.add(mem(rsp, { size: 8 }), skipped).ret()));
  likewise(calling(1, (a, behind) => a.add(rsp, 8).jmp(behind)));
});

test("what is behind a call may be changed by the function that is called", () => {
  // inc edx becomes dec edx, and that becomes inc edx.
  likewise(calling(1, (a, behind) => a.xor(mem(behind, { size: 1, disp: 1 }), 8).ret()));
});
