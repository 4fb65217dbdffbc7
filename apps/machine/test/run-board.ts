import { type Assembler, al, dx, type eax, edi, mem } from "@vm/asm";
import { expect } from "vitest";
import { type BareOptions, createBareMachine, type Machine } from "../src/index.js";
import { debugExit, multiboot } from "./bare-images.js";

/** Where results are stored. */
export const RESULTS = 0x6000;

/** A machine that runs `write` in 32-bit mode; `keep` stores EAX or another register as the next result. */
export async function runBoard(
  write: (a: Assembler, keep: (register: typeof eax) => void) => void,
  options: Partial<BareOptions> = {},
): Promise<{ machine: Machine; results: number[] }> {
  let kept = 0;
  const image = multiboot((a) => {
    a.mov(edi, RESULTS);
    write(a, (register) => a.mov(mem(edi, { disp: 4 * kept++, size: 4 }), register));
    debugExit(a, 0);
  });
  const machine = await createBareMachine({ image, memory: 16 << 20, clock: "icount", ...options });
  expect(await machine.run()).toEqual({ reason: "debug-exit", code: 0 });
  const results = Array.from({ length: kept }, (_, k) => machine.memory.readU32(RESULTS + 4 * k) >>> 0);
  return { machine, results };
}

/** Writes bytes to a port, one after the other. */
export const out8 = (a: Assembler, port: number, ...values: number[]): void => {
  for (const value of values) a.mov(dx, port).mov(al, value).out(dx, al);
};
