import fc from "fast-check";
import { expect, test } from "vitest";
import { FW_CFG_DMA_PORTS, FwCfg, type GuestMemory, PortBus, type PortSize } from "../src/index.js";
import { FakeMemory, FakeTurns } from "./fakes.js";

const BASE = 0x510;
const FILE = 0x20;
/** Bits of control. */
const [READ, SKIP, SELECT] = [2, 4, 8] as const;
const select = (item: number): number => (item * 0x1_0000 + SELECT) >>> 0;

const MEMORY = 0x4000;
const word = fc.oneof(fc.nat(MEMORY), fc.integer({ min: MEMORY - 32, max: MEMORY }), fc.nat(0xffff_ffff));
const act = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constant("port" as const),
      port: fc.integer({ min: BASE, max: BASE + FW_CFG_DMA_PORTS - 1 }),
      size: fc.constantFrom<PortSize>(1, 2, 4),
      value: fc.option(fc.nat(0xffff_ffff), { nil: null }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      what: fc.constant("access" as const),
      at: fc.oneof(fc.nat(MEMORY - 16), fc.integer({ min: MEMORY - 24, max: MEMORY })),
      control: fc.oneof(fc.nat(0xffff_ffff), fc.nat(31), fc.constantFrom(select(FILE) + READ, select(FILE) + SKIP)),
      length: fc.oneof(fc.nat(64), word),
      high: fc.constantFrom(0, 0, 0, 1, 0x1f_ffff, 0xffff_ffff),
      low: word,
    }),
  },
  { weight: 3, arbitrary: fc.record({ what: fc.constant("turn" as const) }) },
);

test("whatever a guest does, nothing throws, a turn is bounded, and nothing is written but what its access structure names", () => {
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      /** Where the device may write, of what the guest has named so far. */
      const named: { readonly from: number; readonly to: number }[] = [];
      const bytes = new FakeMemory(MEMORY);
      const within = (gpa: number, length: number) => named.some(({ from, to }) => gpa >= from && gpa + length <= to);
      let moved = 0;
      const memory: GuestMemory = {
        read: (gpa, dst) => {
          if (!bytes.read(gpa, dst)) return false;
          const view = new DataView(dst.buffer, dst.byteOffset);
          const [control, length] = [view.getUint32(0), view.getUint32(4)];
          const to = Number(view.getBigUint64(8));
          expect(dst.length).toBe(16);
          if ((control & READ) !== 0) named.push({ from: to, to: to + length });
          return true;
        },
        write: (gpa, src) => {
          if (src.length !== 4 || !starts.has(gpa)) expect(within(gpa, src.length)).toBe(true);
          moved += src.length;
          return bytes.write(gpa, src);
        },
      };
      /** Addresses that were written to the register, by which control is told. */
      const starts = new Set<number>();
      const turns = new FakeTurns();
      const device = new FwCfg({ basePort: BASE, ram: MEMORY, processors: 1, dma: { memory, turns } });
      device.addFile("file", new Uint8Array(5000).fill(7));
      const ports = new PortBus();
      ports.attach(BASE, FW_CFG_DMA_PORTS, device);
      let high = 0;
      /** A write to a port, as it is known here what it means. */
      const write = (port: number, size: PortSize, value: number) => {
        const view = new DataView(new ArrayBuffer(4));
        view.setUint32(0, value, true);
        const half = view.getUint32(0);
        if (size === 4 && port === BASE + 4) high = half;
        if (size === 4 && port === BASE + 8) {
          starts.add(high * 2 ** 32 + half);
          high = 0;
        }
        ports.write(port, size, value);
      };
      const big = (value: number) => {
        const view = new DataView(new ArrayBuffer(4));
        view.setUint32(0, value);
        return view.getUint32(0, true);
      };
      for (const one of acts) {
        moved = 0;
        if (one.what === "turn") turns.turn();
        else if (one.what === "port") {
          if (one.value === null) expect(ports.read(one.port, one.size)).toBeLessThan(2 ** (8 * one.size));
          else write(one.port, one.size, one.value);
        } else {
          const { at, control, length, high: above, low } = one;
          const structure = new DataView(new ArrayBuffer(16));
          [control, length, above, low].forEach((value, k) => {
            structure.setUint32(4 * k, value);
          });
          bytes.bytes.set(new Uint8Array(structure.buffer).subarray(0, MEMORY - at), at);
          write(BASE + 4, 4, 0);
          write(BASE + 8, 4, big(at));
        }
        expect(moved).toBeLessThanOrEqual(2 ** 20 + 4);
        expect(turns.pending).toBeLessThanOrEqual(1);
      }
    }),
    { numRuns: 500 },
  );
});
