import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FW_CFG_DMA_PORTS, FwCfg, type FwCfgState, PortBus } from "../src/index.js";
import { FakeMemory, FakeTurns } from "./fakes.js";
import { LateMemory } from "./late-memory.js";

/** DMA of fw_cfg in memory that has not arrived: it waits for what it reaches, and moves every byte once. */

const BASE = 0x510;
const FILE = 0x20;
const [ERROR, READ, SELECT] = [1, 2, 8] as const;
const CONTENT = Uint8Array.from({ length: 200_000 }, (_, k) => (k * 7 + (k >> 8)) & 0xff);
/** An access structure over two chunks, a buffer within others. */
const [ACCESS, BUFFER] = [0x1ff8, 0x4800];

/** A device whose memory is late. */
function setup(control = ((FILE << 16) + SELECT + READ) >>> 0, address = BUFFER) {
  const memory = new FakeMemory(0x4_0000);
  memory.view.setUint32(ACCESS, control);
  memory.view.setUint32(ACCESS + 4, CONTENT.length);
  memory.view.setBigUint64(ACCESS + 8, BigInt(address));
  const turns = new FakeTurns();
  const device = new FwCfg({ basePort: BASE, ram: 0, processors: 1, dma: { memory, turns } });
  device.addFile("file", CONTENT);
  const ports = new PortBus();
  ports.attach(BASE, FW_CFG_DMA_PORTS, device);
  const start = (): void => ports.write(BASE + 8, 4, 0xf81f_0000);
  const late = new LateMemory(memory);
  /** Has what is wanted arrive one chunk after the other, as `choose` says. */
  const arriveAll = (choose: (choices: number) => number = () => 0): number => {
    let arrivals = 0;
    turns.run();
    for (; late.wanted.length > 0; arrivals++) {
      late.arrive(late.wanted[choose(late.wanted.length)] as number);
      turns.run();
    }
    return arrivals;
  };
  const answer = (): number => memory.view.getUint32(ACCESS);
  const moved = (): Uint8Array => memory.bytes.slice(BUFFER, BUFFER + CONTENT.length);
  return { memory, turns, device, start, late, arriveAll, control: answer, moved };
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

describe("DMA of FwCfg", () => {
  it("in every order of arrival ends with all bytes where they belong", () => {
    const choices = fc.infiniteStream(fc.nat()).map((stream) => (n: number) => (stream.next().value as number) % n);
    fc.assert(
      fc.property(choices, (choose) => {
        const { start, arriveAll, control, moved } = setup();
        start();
        // Two of the structure, and of the buffer as many as it lies in.
        expect(arriveAll(choose)).toBe(2 + Math.ceil((BUFFER + CONTENT.length) / 4096) - Math.floor(BUFFER / 4096));
        expect(control()).toBe(0);
        expect(same(moved(), CONTENT)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it("asks for nothing but the access structure before it knows more, and begins no other meanwhile", () => {
    const { start, late, turns } = setup();
    start();
    start();
    turns.run();
    expect(late.wanted).toEqual([1, 2]);
  });

  it("tells of an error where no memory is", () => {
    const { start, arriveAll, control } = setup(READ, 0x10_0000);
    start();
    arriveAll();
    expect(control()).toBe(ERROR);
  });

  it.each([
    ["its access structure", 0],
    ["its buffer", 10],
  ])("is saved while it waits for %s, and goes on in memory that is late again", (_, arrivals) => {
    const from = setup();
    from.start();
    from.turns.run();
    for (let k = 0; k < arrivals; k++) {
      from.late.arrive(from.late.wanted[0] as number);
      from.turns.run();
    }
    const state: FwCfgState = structuredClone(from.device.save());
    const to = setup();
    to.memory.bytes.set(from.memory.bytes);
    to.device.restore(state);
    to.arriveAll();
    expect(to.control()).toBe(0);
    expect(same(to.moved(), CONTENT)).toBe(true);
  });
});
