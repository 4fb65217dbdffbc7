import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { VirtioBlk, VirtioConsole, VirtioRng } from "../src/index.js";
import { LateMemory } from "./late-memory.js";
import { type Buffer, INDIRECT, TestDriver } from "./virtio-driver.js";

/** Memory that has not arrived when a device is to use it: the device waits for all that a request names, and does it once. */

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);
/** Every buffer on pages of its own. */
const apart = (driver: TestDriver<never>, bytes: Uint8Array | number, write = false): Buffer => {
  driver.buffer(4096 - (driver.buffer(0).gpa % 4096));
  return driver.buffer(bytes, write);
};

/** Has everything that is wanted arrive, one chunk after the other as `choose` says, with a turn after each. */
function arriveAll(driver: TestDriver<never>, late: LateMemory, choose: (choices: number) => number): number {
  let arrivals = 0;
  driver.turns.run();
  for (; late.wanted.length > 0; arrivals++) {
    late.arrive(late.wanted[choose(late.wanted.length)] as number);
    driver.turns.run();
  }
  return arrivals;
}

const choices = fc.infiniteStream(fc.nat()).map(
  (stream) =>
    (n: number): number =>
      (stream.next().value as number) % n,
);

describe("in every order of arrival", () => {
  it("a console sends what the guest sent, and gets what it waits for", () => {
    fc.assert(
      fc.property(choices, (choose) => {
        let sent = "";
        const device = new VirtioConsole({
          onTransmit: (bytes) => {
            sent += String.fromCharCode(...bytes);
          },
        });
        const driver = new TestDriver(device).start() as TestDriver<never>;
        const [one, two, three] = ["one ", "two ", "three"].map((text) => apart(driver, ascii(text))) as [
          Buffer,
          Buffer,
          Buffer,
        ];
        const input = [apart(driver, 3, true), apart(driver, 3, true)];
        driver.add(1, one, two);
        const table = apart(driver, 16);
        driver.writeDescriptor(table.gpa, three, 0, 0);
        driver.writeDescriptor(driver.rings(1).desc + 32, table, INDIRECT, 0);
        driver.offer(1, 2);
        driver.add(0, ...input);
        const late = new LateMemory(driver.memory);
        driver.write(0x50, 1);
        device.receive(ascii("input"));
        // Rings, three buffers, a table, two more.
        expect(arriveAll(driver, late, choose)).toBeGreaterThan(6);
        expect(sent).toBe("one two three");
        expect(input.map((buffer) => String.fromCharCode(...driver.bytes(buffer))).join("")).toBe("input\0");
        expect([driver.take(1), driver.take(1), driver.take(1)]).toEqual([
          { head: 0, written: 0 },
          { head: 2, written: 0 },
          null,
        ]);
        expect(driver.take(0)).toEqual({ head: 0, written: 5 });
        expect(driver.needsReset).toBe(false);
      }),
    );
  });

  it("a disk is read once", () => {
    fc.assert(
      fc.property(choices, (choose) => {
        const log: number[] = [];
        const backend = {
          ...{ sectors: 64, readonly: false },
          read: (sector: number, dst: Uint8Array) => {
            log.push(sector);
            dst.fill(sector);
          },
          write: (sector: number) => void log.push(-sector),
          flush: () => {},
        };
        const driver = new TestDriver(new VirtioBlk({ backend })).start() as TestDriver<never>;
        const header = apart(driver, 16);
        new DataView(driver.memory.bytes.buffer).setUint32(header.gpa + 8, 7, true);
        const [data, status] = [apart(driver, 8192, true), apart(driver, 1, true)];
        const head = driver.add(0, header, data, status);
        const late = new LateMemory(driver.memory);
        driver.write(0x50, 0);
        expect(arriveAll(driver, late, choose)).toBeGreaterThan(4);
        expect(log).toEqual([7]);
        expect(driver.bytes(data).every((byte) => byte === 7)).toBe(true);
        expect([driver.take(0), driver.take(0)]).toEqual([{ head, written: 8193 }, null]);
      }),
    );
  });
});

it("a request that was in flight at a save is done again when its memory has arrived", () => {
  const disk = { sectors: 8, readonly: false, write: () => {}, flush: () => {} };
  const driver = new TestDriver(
    new VirtioBlk({ backend: { ...disk, read: () => new Promise<void>(() => {}) } }),
  ).start();
  const [data, status] = [driver.buffer(512, true), driver.buffer(1, true)];
  const head = driver.add(0, driver.buffer(16), data, status);
  driver.notify(0);
  const state = structuredClone(driver.mmio.save());
  expect(state.device.inFlight).toEqual([head]);

  const copy = new TestDriver(
    new VirtioBlk({ backend: { ...disk, read: (_: number, dst: Uint8Array) => void dst.fill(3) } }),
  );
  copy.memory.bytes.set(driver.memory.bytes);
  const late = new LateMemory(copy.memory);
  copy.mmio.restore(state);
  copy.turns.run();
  expect(copy.mmio.save().device.inFlight).toEqual([head]);
  arriveAll(copy as unknown as TestDriver<never>, late, () => 0);
  expect(copy.bytes(data)).toEqual(new Uint8Array(512).fill(3));
  expect(copy.take(0)).toEqual({ head, written: 513 });
});

it("what a console was sending at a save goes on when its memory has arrived", () => {
  let sent = "";
  const device = new VirtioConsole({
    onTransmit: (bytes) => {
      sent += String.fromCharCode(...bytes);
    },
  });
  const driver = new TestDriver(device).start();
  const head = driver.add(1, driver.buffer(ascii("one")));
  const saved = driver.mmio.save();
  // One byte of three has been passed on.
  const queues = saved.queues.map((queue, k) => (k === 1 ? { ...queue, nextAvail: 1 } : queue));
  const state = { ...saved, queues, device: { ...device.save(), sending: { head, sent: 1 } } };
  const late = new LateMemory(driver.memory);
  driver.mmio.restore(structuredClone(state));
  driver.turns.run();
  expect([sent, device.save().sending]).toEqual(["", { head, sent: 1 }]);
  arriveAll(driver as unknown as TestDriver<never>, late, () => 0);
  expect(sent).toBe("ne");
});

it("a reset forgets what waited", () => {
  const device = new VirtioRng({ entropy: { fill: (dst) => void dst.fill(1) } });
  const driver = new TestDriver(device).start() as unknown as TestDriver<never>;
  driver.add(0, driver.buffer(8, true));
  const late = new LateMemory(driver.memory);
  driver.write(0x50, 0);
  driver.turns.run();
  driver.write(0x70, 0);
  const before = driver.memory.bytes.slice();
  arriveAll(driver, late, () => 0);
  expect(Buffer.compare(driver.memory.bytes, before)).toBe(0);
});
