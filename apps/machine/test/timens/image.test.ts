import { type Assembler, edi, r15, rsi, rsp } from "@vm/asm";
import {
  ClockMode,
  fillNamespacePage,
  type Offsets,
  type PageStore,
  PvclockPage,
  pageStore,
  TimePage,
  type TimeReading,
  type VvarAbiName,
  type VvarPage,
  vdsoImage,
} from "@vm/vdso-timens";
import { describe, expect, it } from "vitest";
import { LOAD, machineOf } from "../guest.js";

/** The image of @vm/vdso-timens, executed by the processor while its pages change between any two instructions. */

const PAGE = 4096;
const PAGES_AT = 0x80_0000;
const RESULT_AT = 0x70_0000;
const STACK_AT = 0x60_0000;
const NONE: Offsets = { monotonic: { sec: 0, nsec: 0 }, boottime: { sec: 0, nsec: 0 } };

/** A generator of numbers that looks like chance (xorshift32). */
function numbers(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Nanoseconds of reading `n`, which tell it from the others. */
const nsecOf = (n: number): number => (n * 7919) % 1_000_000_000;

/** Reading `n`: its second is `n`, in every clock. The counter is behind the last cycle, so that nothing is added. */
function reading(n: number, mode: TimeReading["mode"]): TimeReading {
  const shift = 8 + (n % 3);
  const scale = { cycleLast: 1n << 61n, mult: 1 + n, shift };
  const base = { sec: n, shifted: BigInt(nsecOf(n)) << BigInt(shift) };
  const coarse = { sec: n, nsec: nsecOf(n) };
  return {
    mode,
    scale,
    rawScale: scale,
    realtime: base,
    monotonic: base,
    boottime: base,
    tai: base,
    raw: base,
    realtimeCoarse: coarse,
    monotonicCoarse: coarse,
    resolutionNs: 1,
  };
}

/** A reading whose clocks are nanoseconds of kvmclock. */
const PVCLOCK_NS: TimeReading = (() => {
  const scale = { cycleLast: 0n, mult: 1, shift: 0 };
  const zero = { sec: 0, shifted: 0n };
  const clocks = { realtime: zero, monotonic: zero, boottime: zero, tai: zero, raw: zero };
  return { ...reading(0, ClockMode.Pvclock), ...clocks, scale, rawScale: scale };
})();

/** State `n` of kvmclock: the counter, which is below 10^9 here, tells nanoseconds of second `n`. Half of it is seconds off. */
const pvclockInfo = (n: number) => ({
  tscTimestamp: BigInt(n) * 7_000_000_000n,
  systemTime: BigInt(n) * 8_000_000_000n,
  tscToSystemMul: 0x80000000,
  tscShift: 1,
  stable: true,
});

interface Read {
  readonly sec: number;
  readonly nsec: number;
  /** The reading that was whole when the call began, and the last that was begun when it ended. */
  readonly whole: number;
  readonly begun: number;
}

interface Run {
  readonly abi: VvarAbiName;
  readonly call: string;
  readonly clock: number;
  readonly mode?: TimeReading["mode"];
  readonly offsets?: Offsets;
  readonly seed: number;
  /** A writer that says nothing of its writing. */
  readonly silent?: boolean;
}

const CALLS = 400;

/** Calls a function of the image again and again; after each instruction some stores of the writer happen. */
async function readings({ abi: name, call, clock, mode = ClockMode.Tsc, offsets, seed, silent }: Run): Promise<Read[]> {
  const { bytes, symbols, abi } = vdsoImage({ abi: name });
  const imageAt = PAGES_AT + abi.pages.length * PAGE;
  const target = imageAt + (symbols.get(`__vdso_${call}`) as number);
  const places = { call: 0, after: 0 };
  const write = (a: Assembler): void => {
    a.mov(rsp, STACK_AT).mov(r15, target);
    const again = a.here("again");
    places.call = LOAD + a.offset;
    if (call === "clock_gettime") a.mov(edi, clock).mov(rsi, RESULT_AT);
    else a.mov(edi, RESULT_AT).xor(rsi, rsi);
    a.call(r15);
    places.after = LOAD + a.offset;
    a.jmp(again);
  };
  await using machine = await machineOf(write, { clock: "icount" });
  const [vcpu] = machine.vcpus;
  if (vcpu === undefined) throw new Error("no processor");
  machine.memory.write(imageAt, bytes);
  const stores: (() => void)[] = [];
  const word = new DataView(new ArrayBuffer(8));
  const storeAt = (at: number): PageStore => {
    const put = (offset: number, size: number): void => {
      const copy = new Uint8Array(word.buffer.slice(0, size));
      stores.push(() => machine.memory.write(at + offset, copy));
    };
    return {
      u32: (offset, value) => {
        word.setUint32(0, value, true);
        if (silent && (offset === abi.clocks || offset === abi.clocks + abi.stride)) return;
        put(offset, 4);
      },
      u64: (offset, value) => {
        word.setBigUint64(0, value, true);
        put(offset, 8);
      },
    };
  };
  const slot = (page: VvarPage): number => PAGES_AT + abi.pages.indexOf(page) * PAGE;
  if (offsets !== undefined) {
    const page = new Uint8Array(PAGE);
    fillNamespacePage(pageStore(page), abi, offsets);
    machine.memory.write(slot("time"), page);
  }
  const page = new TimePage(storeAt(slot(offsets === undefined ? "time" : "timens")), abi);
  const pvclock = new PvclockPage(storeAt(slot("pvclock")));
  if (mode === ClockMode.Pvclock) page.update(PVCLOCK_NS);
  const update = (n: number): void =>
    mode === ClockMode.Pvclock ? pvclock.update(pvclockInfo(n)) : page.update(reading(n, mode));
  update(1);
  for (const store of stores.splice(0)) store();
  let [whole, begun] = [1, 1];
  let [wholeBefore, rest] = [1, 0];
  const chance = numbers(seed);
  const reads: Read[] = [];
  const step = (): void => {
    const rip = Number(vcpu.registers.rip);
    if (rip === places.call) wholeBefore = whole;
    if (rip === places.after) {
      const bytes = new Uint8Array(16);
      machine.memory.read(RESULT_AT, bytes);
      const result = new DataView(bytes.buffer);
      const [sec, nsec] = [Number(result.getBigInt64(0, true)), Number(result.getBigInt64(8, true))];
      reads.push({ sec, nsec, whole: wholeBefore, begun });
      if (reads.length === CALLS) machine.stop();
    }
    // Between two updates there is time for a call to come through, now and then; within one, a store or a few between two instructions.
    if (stores.length === 0 && rest-- > 0) return;
    for (let k = [0, 1, 1, 40][chance(4)] as number; k > 0; k--) {
      if (stores.length === 0) update(++begun);
      stores.shift()?.();
      if (stores.length > 0) continue;
      whole = begun;
      rest = chance(60);
      break;
    }
  };
  vcpu.on("singleStep", step);
  vcpu.cpu.singleStep = true;
  await machine.run();
  return reads;
}

/** Reads that are of no reading that was there meanwhile. */
const torn = (reads: readonly Read[], more: { sec: number; nsec: number } = { sec: 0, nsec: 0 }, unit = 1): Read[] =>
  reads.filter(({ sec, nsec, whole, begun }) => {
    for (let n = whole; n <= begun; n++) {
      const total = Math.floor((nsecOf(n) + more.nsec) / unit);
      const carry = Math.floor((total * unit) / 1_000_000_000);
      if (sec === n + more.sec + carry && nsec === total - (carry * 1_000_000_000) / unit) return false;
    }
    return true;
  });

const OFFSETS: Offsets = { monotonic: { sec: 1000, nsec: 999_999_999 }, boottime: { sec: -5, nsec: 1 } };
const ABIS: readonly VvarAbiName[] = ["linux-5.6", "linux-6.18"];

describe.each(ABIS)("with a writer between any two instructions (%s)", (abi) => {
  it.each([
    ["CLOCK_REALTIME", 0, NONE.monotonic],
    ["CLOCK_MONOTONIC", 1, OFFSETS.monotonic],
    ["CLOCK_MONOTONIC_RAW", 4, OFFSETS.monotonic],
    ["CLOCK_REALTIME_COARSE", 5, NONE.monotonic],
    ["CLOCK_MONOTONIC_COARSE", 6, OFFSETS.monotonic],
    ["CLOCK_BOOTTIME", 7, OFFSETS.boottime],
    ["CLOCK_TAI", 11, NONE.monotonic],
  ] as const)("%s is never torn, nor with the offset of a namespace", async (_, clock, offset) => {
    const run = { abi, call: "clock_gettime", clock, seed: 1 + clock };
    expect(torn(await readings(run))).toEqual([]);
    expect(torn(await readings({ ...run, offsets: OFFSETS }), offset)).toEqual([]);
  });

  it("gettimeofday is never torn", async () => {
    expect(torn(await readings({ abi, call: "gettimeofday", clock: 0, seed: 20 }), NONE.monotonic, 1000)).toEqual([]);
  });

  it("coarse clocks are never torn where there is no counter", async () => {
    const run = { abi, call: "clock_gettime", clock: 6, seed: 21, mode: ClockMode.None as const };
    expect(torn(await readings(run))).toEqual([]);
  });

  it("the page of kvmclock is never torn", async () => {
    const reads = await readings({ abi, call: "clock_gettime", clock: 1, seed: 23, mode: ClockMode.Pvclock });
    expect(reads.filter(({ sec, whole, begun }) => sec < whole || sec > begun)).toEqual([]);
  });

  it("a writer that says nothing of its writing is found out", async () => {
    const run = { abi, call: "clock_gettime", clock: 1, seed: 22, silent: true };
    expect(torn(await readings(run)).length).toBeGreaterThan(0);
  });
});
