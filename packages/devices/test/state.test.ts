import { expect, it } from "vitest";
import { CmosRtc, read, StateError, within } from "../src/index.js";

const shape = read.record<{ a: number; b?: readonly boolean[] }>({ a: read.u8, b: read.list(read.flag, 0, 2) }, ["b"]);

it.each([
  [{ a: 256 }, "a is 256, expected a whole number from 0 to 255"],
  [{ a: 1, b: [true, 0] }, "b[1] is 0, expected true or false"],
  [{ a: 1, b: Array(3) }, "b is a list of 3, expected a list of 0 to 2"],
  [{ a: 1, c: 1 }, "c is nothing that is known"],
  [{}, "a is missing"],
  [[], "it is a list of 0, expected a record"],
])("a state that was made up is refused, and it is said where: %j", (value, message) => {
  expect(() => shape(value)).toThrow(expect.objectContaining({ name: "StateError", code: "state", message }));
});

it("a part's refusal is named from the whole", () => {
  const whole = (): unknown => within("board", () => within("parts[2]", () => shape({ a: -1 })));
  expect(whole).toThrow(new StateError("board.parts[2].a", "is -1, expected a whole number from 0 to 255"));
});

it("a device that refuses a state is what it was", () => {
  const rtc = new CmosRtc({ clock: { unixTime: () => 0 } });
  const before = rtc.save();
  expect(() => rtc.restore({ ...before, index: 5, offset: Number.NaN })).toThrow(StateError);
  expect(rtc.save()).toEqual(before);
});
