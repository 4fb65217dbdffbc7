import { type Assembler, cr4, edi, esi, type Label, mem, r8, r9, r10, rax, rcx, rdi, rsi, rsp, xmm1 } from "@vm/asm";
import { describe, expect, it } from "vitest";
import { AREA, asyncPfGuest, SEND_ALWAYS } from "./async-pf-guest.js";
import { CHUNK, Later, lateMachine } from "./late-machine.js";

/** An instruction that meets memory which is not there, and of which the guest is told: it is begun anew from where it was, and nothing is seen of it before. */

const LATE = 0x1000000;
const FAR = 0x1800000;
const ENGINES = ["interpreter", "jit"] as const;

const numbers = (...gpas: readonly number[]): number[] => gpas.map((gpa) => gpa / CHUNK);
const pattern = (chunk: number): Uint8Array => Uint8Array.from({ length: CHUNK }, (_, k) => chunk + k * 7 + (k >> 8));

/** A machine that the guest of {@link asyncPfGuest} is told by of each chunk that it misses; they come at once. */
function machineOf(kernel: Uint8Array, engine: (typeof ENGINES)[number], late: readonly number[]) {
  const source = new Later((chunk) => (chunk === AREA / CHUNK ? new Uint8Array(CHUNK) : pattern(chunk)));
  source.freely();
  return lateMachine(source, [...numbers(AREA), ...late], { kernel, engine });
}

const told = (faults: number) => ({ reason: "debug-exit", code: faults | ((faults + 1) << 8) });

describe("REP MOVS goes on with the right RCX, RSI and RDI (statement 24)", () => {
  const SOURCE = LATE + 0x8000;
  const TARGET = FAR + 0x4000;
  const BYTES = 0x18000;
  const LATE_CHUNKS = numbers(LATE, LATE + CHUNK, FAR, FAR + CHUNK);

  const guest = (size: 1 | 8, backwards: boolean): Uint8Array => {
    let at: Label;
    const last = backwards ? BYTES - size : 0;
    return asyncPfGuest({
      enable: SEND_ALWAYS,
      body: (a) => {
        a.mov(rcx, BYTES / size)
          .mov(esi, SOURCE + last)
          .mov(edi, TARGET + last);
        if (backwards) a.std();
        at = a.here("move");
        a.rep();
        if (size === 1) a.movsb();
        else a.movsq();
        a.cld();
      },
      told: (a, bad) => {
        // The same way behind both, and as much left as that says.
        a.mov(r8, rsi)
          .sub(r8, SOURCE + last)
          .mov(r9, rdi)
          .sub(r9, TARGET + last)
          .cmp(r8, r9)
          .jne(bad);
        if (backwards) a.neg(r8);
        a.mov(r10, BYTES / size)
          .sub(r10, rcx)
          .imul(r10, r10, size)
          .cmp(r8, r10)
          .jne(bad);
        a.lea(r8, mem(at))
          .cmp(r8, mem(rsp, { disp: 8 }))
          .jne(bad);
      },
    });
  };

  it.each(
    ENGINES.flatMap((engine) =>
      ([1, 8] as const).flatMap((size) => [false, true].map((back) => [engine, size, back] as const)),
    ),
  )("%s, %i at a time, backwards: %s", async (engine, size, backwards) => {
    const machine = await machineOf(guest(size, backwards), engine, LATE_CHUNKS);
    expect(await machine.run()).toEqual(told(LATE_CHUNKS.length));
    const [from, to] = [new Uint8Array(BYTES), new Uint8Array(BYTES)];
    machine.memory.read(SOURCE, from);
    machine.memory.read(TARGET, to);
    expect(from.subarray(0, 4)).toEqual(pattern(LATE / CHUNK).subarray(0x8000, 0x8004));
    expect(Buffer.compare(from, to)).toBe(0);
  });
});

describe("a store over two pages of which one is missing leaves nothing in the other (statement 25)", () => {
  const VALUE = 0x1122334455667788n;
  const BEFORE = new Uint8Array(16).fill(0xee);
  const word = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);
  const word64 = (bytes: Uint8Array): bigint => new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
  /** Stores at RDI, with {@link VALUE} in RAX: what is there afterwards, of what was there before. */
  const stores: [string, (a: Assembler) => void, (before: bigint) => Uint8Array][] = [
    ["MOV", (a) => a.mov(mem(rdi, { size: 8 }), rax), () => word(VALUE)],
    ["ADD", (a) => a.add(mem(rdi, { size: 8 }), rax), (before) => word(BigInt.asUintN(64, before + VALUE))],
    ["LOCK XOR", (a) => a.lock().xor(mem(rdi, { size: 8 }), rax), (before) => word(before ^ VALUE)],
    ["MOVUPS", (a) => a.movups(mem(rdi), xmm1), () => new Uint8Array(16)],
    ["REP STOSQ", (a) => a.mov(rcx, 1).rep().stosq(), () => word(VALUE)],
  ];
  /** Bytes of the store that are in the page before. */
  const OVER = 4;

  it.each(
    ENGINES.flatMap((engine) =>
      stores.flatMap(([name, store, after]) =>
        (["second", "first"] as const).map((missing) => ({ engine, name, missing, store, after })),
      ),
    ),
  )("$engine: $name, the $missing", async ({ engine, missing, store, after }) => {
    // Two chunks meet here, and one of them is late.
    const border = LATE + CHUNK;
    const [late, here] = missing === "second" ? [border, border - 16] : [border - CHUNK, border];
    const kernel = asyncPfGuest({
      enable: SEND_ALWAYS,
      body: (a) => {
        // CR4.OSFXSR, for XMM registers.
        a.mov(rax, cr4).or(rax, 0x200).mov(cr4, rax);
        a.mov(edi, border - OVER).mov(rax, VALUE);
        store(a);
      },
      told: (a, bad) => {
        a.mov(r8, word64(BEFORE));
        for (const at of [here, here + 8]) a.cmp(mem(at, { size: 8 }), r8).jne(bad);
        a.cmp(rdi, border - OVER).jne(bad);
      },
    });
    const machine = await machineOf(kernel, engine, numbers(late));
    machine.memory.write(here, BEFORE);
    // What comes late, and what is here already.
    const around = new Uint8Array(32).fill(BEFORE[0] as number);
    const come = pattern(late / CHUNK);
    around.set(missing === "second" ? come.subarray(0, 16) : come.subarray(CHUNK - 16), missing === "second" ? 16 : 0);
    around.set(after(word64(around.subarray(16 - OVER))), 16 - OVER);
    expect(await machine.run()).toEqual(told(1));
    const found = new Uint8Array(32);
    machine.memory.read(border - 16, found);
    expect(found).toEqual(around);
  });
});
