import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CmosRtc } from "../src/index.js";

const utc = (iso: string) => Date.parse(iso) / 1000;

function setup(iso = "2024-02-29T21:59:07Z") {
  const clock = { seconds: utc(iso), unixTime: () => clock.seconds };
  const rtc = new CmosRtc({ clock });
  const read = (register: number) => {
    rtc.ioWrite(0x70, 1, register);
    return rtc.ioRead(0x71, 1);
  };
  const write = (register: number, value: number) => {
    rtc.ioWrite(0x70, 1, register);
    rtc.ioWrite(0x71, 1, value);
  };
  /** Seconds, minutes, hours, weekday, day, month, year, century. */
  const time = () => [0, 2, 4, 6, 7, 8, 9, 0x32].map(read);
  return { rtc, clock, read, write, time };
}

describe("time registers (MC146818A)", () => {
  test("BCD, 24 hours after power-up; weekday 1 is Sunday", () => {
    expect(setup().time()).toEqual([0x07, 0x59, 0x21, 5, 0x29, 0x02, 0x24, 0x20]);
  });

  test("binary with register B bit 2", () => {
    const { write, time } = setup();
    write(0x0b, 0x06);
    expect(time()).toEqual([7, 59, 21, 5, 29, 2, 24, 20]);
  });

  test.each([
    ["00", 0x12],
    ["01", 0x01],
    ["11", 0x11],
    ["12", 0x92],
    ["21", 0x89],
  ])("12-hour mode shows hour %s as 0x%s", (hour, expected) => {
    const { read, write } = setup(`2024-01-01T${hour}:00:00Z`);
    write(0x0b, 0x00);
    expect(read(4)).toBe(expected);
  });

  test("the time runs with the wall clock", () => {
    const { clock, time } = setup("2023-12-31T23:59:59Z");
    clock.seconds += 1.7;
    expect(time()).toEqual([0, 0, 0, 2, 1, 1, 0x24, 0x20]);
  });

  test("a guest that sets the time with SET gets that time from then on", () => {
    const { clock, read, write, time } = setup();
    write(0x0b, 0x82);
    for (const [register, value] of [
      [0, 0x30],
      [2, 0x45],
      [4, 0x12],
      [7, 0x24],
      [8, 0x12],
      [9, 0x99],
      [0x32, 0x19],
    ] as const)
      write(register, value);
    clock.seconds += 100;
    expect(read(0)).toBe(0x30);
    write(0x0b, 0x02);
    clock.seconds += 5;
    expect(time()).toEqual([0x35, 0x45, 0x12, 6, 0x24, 0x12, 0x99, 0x19]);
  });

  test("SET freezes the registers at the current time", () => {
    const { clock, write, time } = setup();
    write(0x0b, 0x82);
    clock.seconds += 1000;
    expect(time()).toEqual([0x07, 0x59, 0x21, 5, 0x29, 0x02, 0x24, 0x20]);
  });

  test.each([
    [0x12, 0x00],
    [0x01, 0x01],
    [0x92, 0x12],
    [0x89, 0x21],
  ])("an hour set as 12-hour %i is 24-hour %i", (twelve, hour) => {
    const { read, write } = setup();
    write(0x0b, 0x00);
    write(4, twelve);
    write(0x0b, 0x02);
    expect(read(4)).toBe(hour);
  });

  test("a single field may be set while the clock runs", () => {
    const { write, time } = setup();
    write(4, 0x03);
    expect(time()).toEqual([0x07, 0x59, 0x03, 5, 0x29, 0x02, 0x24, 0x20]);
  });

  test("whatever bytes the guest writes, the registers stay readable bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0xff), fc.nat(0xff)), { maxLength: 30 }), (writes) => {
        const { write, read } = setup();
        for (const [register, value] of writes) write(register, value);
        for (let register = 0; register < 128; register++) {
          const value = read(register);
          expect(Number.isInteger(value) && value >= 0 && value <= 0xff).toBe(true);
        }
      }),
    );
  });
});

describe("control registers and RAM", () => {
  test("UIP is clear, no interrupt is flagged, the battery is good", () => {
    const { read } = setup();
    expect([read(0x0a) & 0x80, read(0x0b), read(0x0c), read(0x0d)]).toEqual([0, 0x02, 0, 0x80]);
  });

  test("C and D are read-only, A keeps all but UIP", () => {
    const { read, write } = setup();
    for (const register of [0x0a, 0x0c, 0x0d]) write(register, 0xff);
    expect([read(0x0a), read(0x0c), read(0x0d)]).toEqual([0x7f, 0, 0x80]);
  });

  test("the rest is RAM; index bit 7 is ignored; the index port reads 0xff", () => {
    const { rtc, read, write } = setup();
    write(0x40, 0x5a);
    expect(read(0xc0)).toBe(0x5a);
    expect(rtc.ioRead(0x70, 1)).toBe(0xff);
  });
});

test("save and restore carry RAM, index and the guest's time", () => {
  const { rtc, write, time } = setup();
  write(0x40, 0x5a);
  write(2, 0x11);
  const copy = setup();
  copy.rtc.restore(structuredClone(rtc.save()));
  expect(copy.rtc.save()).toEqual(rtc.save());
  expect(copy.time()).toEqual(time());
});
