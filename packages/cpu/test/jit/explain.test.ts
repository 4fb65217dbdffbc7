import { type Assembler, eax, ebx, ecx, mem, rsi, short } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { type ExplainedRegion, type JitOptions, RegionExplorer } from "../../src/index.js";
import { CODE, DATA, FakeMachine, RSI } from "../fake-machine.js";

/** Loops become regions, and what leads to them does not. */
const LOOPS: JitOptions = { threshold: 20, again: 65535, batch: 1 };

interface Watched {
  readonly machine: FakeMachine;
  readonly explorer: RegionExplorer;
  readonly modules: Uint8Array[];
}

/** A machine with a program at `CODE`, whose code at `address` is watched. */
function watched(write: (a: Assembler) => void, jit: JitOptions = LOOPS, address = CODE): Watched {
  const modules: Uint8Array[] = [];
  const compile = (bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module => {
    modules.push(bytes);
    return new WebAssembly.Module(bytes);
  };
  const machine = new FakeMachine({ jit: { ...jit, compile } });
  machine.assemble(CODE, write);
  const explorer = new RegionExplorer(machine.jit as NonNullable<FakeMachine["jit"]>, BigInt(address));
  return { machine, explorer, modules };
}

const explain = ({ explorer }: Watched) => explorer.explain(Number(explorer.address) >>> 12);
const only = (seen: Watched): ExplainedRegion => {
  const { regions } = explain(seen);
  expect(regions).toHaveLength(1);
  return regions[0] as ExplainedRegion;
};

/** Has the program run once more. */
function rewind({ machine: { vcpu } }: Watched): void {
  vcpu.activity = "active";
  vcpu.setRip(CODE, 0);
}

/** Counts down from 1000: `mov` of 5 bytes, then a loop of `dec` and `jnz`, then `hlt`. */
function countdown(a: Assembler): void {
  a.mov(ecx, 1000);
  const again = a.here("again");
  a.dec(ecx).jne(short(again)).hlt();
}
const LOOP = CODE + 5;

describe("a region that contains an address", () => {
  test("tells guest code, blocks and where they lead", () => {
    const seen = watched(countdown, LOOPS, LOOP);
    seen.machine.go();
    const region = only(seen);
    expect(region).toMatchObject({ wide: false, state: "used", successor: null });
    const lines = region.blocks.map(({ instructions }) => instructions.map(({ text }) => text));
    expect(lines).toEqual([["dec ecx", "jne 0x10005"]]);
    expect(region.blocks[0]?.instructions[0]).toMatchObject({
      address: BigInt(LOOP),
      bytes: Uint8Array.of(0xff, 0xc9),
    });
    expect(region.blocks[0]?.ways).toMatchObject([
      { when: "taken", block: 0, address: BigInt(LOOP), landing: null },
      { when: "else", block: null, address: BigInt(LOOP + 4), landing: { text: "hlt", regular: false } },
    ]);
  });

  test("counts entries, blocks and exits: what goes in comes out", () => {
    const seen = watched(countdown, LOOPS, LOOP);
    for (let k = 0; k < 3; k++) {
      rewind(seen);
      // Cut short in the middle, and then run to the end.
      expect(seen.machine.vcpu.run(500).reason).toBe("budget");
      seen.machine.go();
    }
    const { entries, blocks, exits } = only(seen);
    const sum = (counts: readonly number[]): number => counts.reduce((a, b) => a + b, 0);
    const entered = sum(entries.map((entry) => entry.entered));
    expect(exits).toMatchObject([
      { kind: "budget", block: 0, count: 3, instruction: { text: "dec ecx" } },
      { kind: "record", block: 0, count: 3, instruction: { text: "jne 0x10005" } },
    ]);
    expect(entered).toBe(sum(exits.map(({ count }) => count)));
    expect(entries[0]?.left).toBeLessThan(65535);
    // The rest was interpreted: what came before the loop was hot, and what is left of a budget that does not pay for a block.
    expect(blocks[0]?.executed).toBeGreaterThan(2950);
    expect(blocks[0]?.executed).toBeLessThan(3000);
  });

  test("counts instructions in front of which control leaves", () => {
    const seen = watched(
      (a) => {
        a.mov(ecx, 30);
        const again = a.here("again");
        a.mov(eax, mem(rsi, { size: 4 }))
          .add(rsi, 4096)
          .dec(ecx)
          .jne(short(again))
          .hlt();
      },
      LOOPS,
      LOOP,
    );
    seen.machine.vcpu.setReg(RSI, DATA, 0);
    seen.machine.go();
    // Each turn is the first in a page of data.
    const [exit] = only(seen).exits;
    expect(exit).toMatchObject({ kind: "instruction", count: 10, instruction: { text: "mov eax, dword ptr [rsi]" } });
  });

  test("counts returns to where only execution tells", () => {
    const seen = watched(
      (a) => {
        const routine = a.label("routine");
        a.mov(ecx, 100);
        const again = a.here("again");
        a.call(routine).dec(ecx).jne(short(again)).hlt();
        a.bind(routine).add(ebx, 1).ret();
      },
      LOOPS,
      LOOP + 10,
    );
    seen.machine.go();
    const { blocks, exits } = only(seen);
    expect(blocks.at(-1)?.ways).toMatchObject([{ when: "elsewhere", block: null, address: null }]);
    expect(exits[0]).toMatchObject({ kind: "indirect", count: 81, instruction: { text: "ret" } });
  });

  test("is shown as the code that runs where nobody looks", () => {
    const plain = watched(countdown, LOOPS, 0x7000);
    plain.machine.go();
    const seen = watched(countdown, LOOPS, LOOP);
    seen.machine.go();
    const wasm = only(seen).wasm();
    expect(plain.modules).toContainEqual(wasm);
    expect(seen.modules).not.toContainEqual(wasm);
  });

  test("is dropped with the code that it was made of", () => {
    const seen = watched(countdown, LOOPS, LOOP);
    seen.machine.go();
    seen.machine.write(LOOP, [0xff, 0xc9]);
    expect(only(seen)).toMatchObject({ state: "dropped", entries: [{ left: null }] });
    rewind(seen);
    seen.machine.go();
    expect(explain(seen).regions.map(({ state }) => state)).toEqual(["dropped", "used"]);
  });

  test("is replaced by a wide one when it is entered time and again", () => {
    const seen = watched(countdown, { threshold: 20, again: 2, batch: 1 }, LOOP);
    for (let k = 0; k < 5; k++) {
      rewind(seen);
      seen.machine.go();
    }
    const { regions } = explain(seen);
    expect(regions).toMatchObject([
      { wide: false, state: "replaced", successor: regions[1]?.number },
      { wide: true, state: "used" },
    ]);
  });
});

test("regions elsewhere are what they are where nobody looks, byte for byte", () => {
  const seen = watched(countdown, LOOPS, 0x7000);
  seen.machine.go();
  const modules: Uint8Array[] = [];
  const machine = new FakeMachine({
    jit: {
      ...LOOPS,
      compile: (bytes) => {
        modules.push(bytes);
        return new WebAssembly.Module(bytes);
      },
    },
  });
  machine.assemble(CODE, countdown);
  machine.go();
  expect(modules.length).toBeGreaterThan(0);
  expect(seen.modules).toEqual(modules);
});

describe("an address that no region contains", () => {
  test("has nothing decoded if it was never executed", () => {
    const seen = watched(countdown, LOOPS, CODE + 0x800);
    expect(explain(seen)).toEqual({ address: BigInt(CODE + 0x800), regions: [], forgotten: 0, refused: 0, now: null });
    seen.machine.go();
    expect(explain(seen).now).toMatchObject({ decoded: false, head: null });
  });

  test("has the heat of the place that leads to it", () => {
    const seen = watched(countdown, { threshold: 5000 }, LOOP + 2);
    seen.machine.go();
    expect(explain(seen)).toMatchObject({
      regions: [],
      now: {
        address: BigInt(LOOP + 2),
        text: "jne 0x10005",
        regular: true,
        head: { address: BigInt(LOOP), heat: 999, threshold: 5000, wished: false, region: null },
      },
    });
  });

  test("waits for its region once it is hot", () => {
    const seen = watched(countdown, { threshold: 600, batch: 2 }, LOOP);
    seen.machine.go();
    expect(explain(seen)).toMatchObject({ regions: [], now: { head: { heat: 600, wished: true } } });
  });

  test("may be an instruction that is not for regions", () => {
    const seen = watched(
      (a) => {
        a.mov(ecx, 10);
        const again = a.here("again");
        a.cpuid().jmp(short(again));
      },
      LOOPS,
      LOOP,
    );
    seen.machine.vcpu.run(1000);
    const { regions, refused, now } = explain(seen);
    expect(regions).toEqual([]);
    expect(refused).toBeGreaterThan(0);
    expect(now).toMatchObject({ text: "cpuid", regular: false });
  });
});
