import {
  ClockMode,
  fillNamespacePage,
  type PageStore,
  PvclockPage,
  pageStore,
  TimePage,
  type TimeReading,
  VdsoError,
  VVAR_ABIS,
  type VvarAbiName,
} from "@vm/vdso-timens";
import { describe, expect, it } from "vitest";

const base = (sec: number, shifted: bigint) => ({ sec, shifted });
const READING: TimeReading = {
  mode: ClockMode.Tsc,
  scale: { cycleLast: 0x1122334455667788n, mult: 0x1000, shift: 12 },
  rawScale: { cycleLast: 0x99n, mult: 0x2000, shift: 13 },
  realtime: base(100, 101n),
  monotonic: base(200, 201n),
  boottime: base(300, 301n),
  tai: base(400, 401n),
  raw: base(500, 501n),
  realtimeCoarse: { sec: 600, nsec: 601 },
  monotonicCoarse: { sec: 700, nsec: 701 },
  resolutionNs: 1,
};

/** Where the fields are: the ABI once more, as offsets in the page, bytes. */
const PLACES: Readonly<Record<VvarAbiName, Readonly<Record<string, number>>>> = {
  "linux-5.6": {
    seq: 0x80,
    raw: 0x170,
    mode: 4,
    cycle: 8,
    mult: 0x18,
    shift: 0x1c,
    bases: 0x20,
    zone: 0x160,
    res: 0x168,
  },
  "linux-6.18": { seq: 0, raw: 0xe8, mode: 4, cycle: 8, mult: 0x20, shift: 0x24, bases: 0x28, zone: 0x910, res: 0x918 },
};

describe.each(["linux-5.6", "linux-6.18"] as const)("the page with the time (%s)", (name) => {
  const abi = VVAR_ABIS[name];
  const at = PLACES[name] as Record<
    "seq" | "raw" | "mode" | "cycle" | "mult" | "shift" | "bases" | "zone" | "res",
    number
  >;
  const fresh = () => {
    const bytes = new Uint8Array(4096);
    const view = new DataView(bytes.buffer);
    const u32 = (offset: number) => view.getUint32(offset, true);
    const pair = (structure: number, clock: number) =>
      [0, 8].map((k) => Number(view.getBigInt64(structure + at.bases + 16 * clock + k, true)));
    return { bytes, u32, pair, u64: (offset: number) => view.getBigUint64(offset, true) };
  };

  it("holds what a reading says, each where the kernel has it", () => {
    const { bytes, u32, u64, pair } = fresh();
    const page = new TimePage(pageStore(bytes), abi);
    page.update(READING);
    page.setZone({ minutesWest: -60, dst: 1 });
    for (const structure of [at.seq, at.raw]) expect([u32(structure), u32(structure + at.mode)]).toEqual([2, 1]);
    expect([u64(at.seq + at.cycle), u32(at.seq + at.mult), u32(at.seq + at.shift)]).toEqual([
      0x1122334455667788n,
      0x1000,
      12,
    ]);
    expect([u64(at.raw + at.cycle), u32(at.raw + at.mult), u32(at.raw + at.shift)]).toEqual([0x99n, 0x2000, 13]);
    expect([0, 1, 7, 11, 5, 6].map((clock) => pair(at.seq, clock))).toEqual([
      [100, 101],
      [200, 201],
      [300, 301],
      [400, 401],
      [600, 601],
      [700, 701],
    ]);
    expect(pair(at.raw, 4)).toEqual([500, 501]);
    expect([u32(at.zone) | 0, u32(at.zone + 4), u32(at.res)]).toEqual([-60, 1, 1]);
  });

  it("has an odd sequence while it is written, in both structures", () => {
    const { bytes } = fresh();
    const stores: number[] = [];
    const real = pageStore(bytes);
    const store: PageStore = {
      u32: (offset, value) => {
        stores.push(offset);
        real.u32(offset, value);
      },
      u64: (offset, value) => {
        stores.push(offset);
        const view = new DataView(bytes.buffer);
        for (const structure of [at.seq, at.raw]) expect(view.getUint32(structure, true) & 1).toBe(1);
        real.u64(offset, value);
      },
    };
    new TimePage(store, abi).update(READING);
    expect(stores.slice(0, 2)).toEqual([at.seq, at.raw]);
    expect(stores.slice(-2)).toEqual([at.seq, at.raw]);
  });

  it("without a counter has coarse clocks and the time of day alone", () => {
    const { bytes, u32, pair } = fresh();
    new TimePage(pageStore(bytes), abi).update({ ...READING, mode: ClockMode.None });
    expect(u32(at.seq + at.mode)).toBe(0);
    expect([0, 5, 6].map((clock) => pair(at.seq, clock)[0])).toEqual([100, 600, 700]);
    expect([1, 7, 11].map((clock) => pair(at.seq, clock)[0])).toEqual([0, 0, 0]);
  });

  it("of a namespace is odd for ever, says so, and holds two offsets for the clocks that they are of", () => {
    const { bytes, u32, pair } = fresh();
    fillNamespacePage(pageStore(bytes), abi, { monotonic: { sec: -3, nsec: 4 }, boottime: { sec: 5, nsec: 6 } });
    for (const structure of [at.seq, at.raw]) {
      expect([u32(structure), u32(structure + at.mode)]).toEqual([1, 0x7fffffff]);
      for (let clock = 0; clock < 12; clock++) {
        const expected = [1, 4, 6].includes(clock) ? [-3, 4] : [7, 9].includes(clock) ? [5, 6] : [0, 0];
        expect(pair(structure, clock)).toEqual(expected);
      }
    }
  });
});

it("the page of kvmclock has an odd version while it is written", () => {
  const bytes = new Uint8Array(4096);
  const view = new DataView(bytes.buffer);
  const real = pageStore(bytes);
  const store: PageStore = {
    u32: real.u32,
    u64: (offset, value) => {
      expect(view.getUint32(0, true) & 1).toBe(1);
      real.u64(offset, value);
    },
  };
  new PvclockPage(store).update({
    tscTimestamp: 7n,
    systemTime: 8n,
    tscToSystemMul: 0x80000000,
    tscShift: -3,
    stable: true,
  });
  expect(view.getUint32(0, true)).toBe(2);
  expect([view.getBigUint64(8, true), view.getBigUint64(16, true)]).toEqual([7n, 8n]);
  expect([view.getUint32(24, true), view.getInt8(28), view.getUint8(29)]).toEqual([0x80000000, -3, 1]);
});

it("a page that is none is refused", () => {
  expect(() => pageStore(new Uint8Array(4095))).toThrow(new VdsoError("page", "page of 4095 bytes: expected 4096"));
});
