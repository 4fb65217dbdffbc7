import { describe, expect, test } from "vitest";
import { VirtioConsole, VirtioRng } from "../src/index.js";
import { TestDriver } from "./virtio-driver.js";

const ascii = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => String.fromCharCode(...bytes);

describe("VirtioRng (virtio 1.2, 5.4)", () => {
  const setup = () => {
    let next = 0;
    const fill = (dst: Uint8Array) => {
      for (let i = 0; i < dst.length; i++) dst[i] = ++next & 0xff;
    };
    return new TestDriver(new VirtioRng({ entropy: { fill } })).start();
  };

  test("fills every buffer of a request", () => {
    const driver = setup();
    const buffers = [driver.buffer(3, true), driver.buffer(5, true)];
    driver.add(0, ...buffers);
    driver.notify(0);
    expect(driver.take(0)?.written).toBe(8);
    expect(buffers.flatMap((buffer) => [...driver.bytes(buffer)])).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test("fills at most 16 KiB", () => {
    const driver = setup();
    driver.add(0, driver.buffer(100_000, true));
    driver.notify(0);
    expect(driver.take(0)?.written).toBe(16_384);
  });

  test("a buffer outside RAM needs a reset", () => {
    const driver = setup();
    driver.add(0, { gpa: 0x7000_0000, length: 8, write: true });
    driver.notify(0);
    expect(driver.needsReset).toBe(true);
  });
});

describe("VirtioConsole (virtio 1.2, 5.3)", () => {
  const setup = () => {
    const sent: Uint8Array[] = [];
    const device = new VirtioConsole({ onTransmit: (bytes) => void sent.push(bytes), columns: 132, rows: 50 });
    return { device, driver: new TestDriver(device), sent };
  };

  test("the configuration space is the size of the terminal", () => {
    expect(setup().driver.read(0x100)).toBe((50 << 16) | 132);
  });

  test("what the guest sends arrives in order, long buffers in pieces of 64 KiB", () => {
    const { driver, sent } = setup();
    driver.start();
    driver.add(1, driver.buffer(new Uint8Array(70_000)), driver.buffer(ascii("end")));
    driver.notify(1);
    expect(sent.map((bytes) => bytes.length)).toEqual([65_536, 4_467]);
    expect(text(sent[1]?.subarray(-3) ?? new Uint8Array())).toBe("end");
  });

  test("input waits for buffers and for the driver, and fills them in order", () => {
    const { device, driver } = setup();
    device.receive(ascii("hello "));
    driver.start();
    device.receive(ascii("world"));
    driver.turns.run();
    const buffers = [driver.buffer(4, true), driver.buffer(16, true)];
    for (const buffer of buffers) driver.add(0, buffer);
    driver.notify(0);
    expect([driver.take(0)?.written, driver.take(0)?.written, driver.take(0)]).toEqual([4, 7, null]);
    expect(text(driver.bytes(buffers[0] as (typeof buffers)[number]))).toBe("hell");
    expect(text(driver.bytes(buffers[1] as (typeof buffers)[number]).subarray(0, 7))).toBe("o world");
  });

  test("input in chunks arrives in order through buffers of other sizes", () => {
    const { device, driver } = setup();
    driver.start();
    for (const chunk of ["a", "bcdef", "gh", "ijklmnop"]) device.receive(ascii(chunk));
    const buffers = Array.from({ length: 6 }, () => driver.buffer(3, true));
    for (const buffer of buffers) driver.add(0, buffer);
    driver.notify(0);
    expect(buffers.map((buffer) => text(driver.bytes(buffer))).join("")).toBe("abcdefghijklmnop\0\0");
  });

  test("input for a buffer that waits is delivered with an interrupt", () => {
    const { device, driver } = setup();
    driver.start();
    const buffer = driver.buffer(16, true);
    driver.add(0, buffer);
    driver.notify(0);
    expect(driver.take(0)).toBe(null);
    device.receive(ascii("x"));
    driver.turns.run();
    expect([driver.take(0)?.written, driver.irq.level]).toEqual([1, true]);
  });

  test("save and restore carry the size and the input that waits", () => {
    const { device } = setup();
    device.receive(ascii("ab"));
    device.receive(ascii("cd"));
    const copy = setup();
    copy.device.restore(structuredClone(device.save()));
    expect(copy.device.save()).toEqual(device.save());
    expect(text(copy.device.save().waiting)).toBe("abcd");
  });
});
