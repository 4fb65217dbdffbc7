import { describe, expect, test } from "vitest";
import { Command, ERRNO, MapType } from "../../src/index.js";
import { Caller } from "./caller.js";

const { EINVAL, EBADF, E2BIG, EFAULT, EOPNOTSUPP } = ERRNO;
const UNKNOWN = 99;

describe("attributes", () => {
  test("what is behind the attributes of a command, or of all that is known, must be zeros", () => {
    const caller = new Caller();
    const at = caller.room(4096);
    const map = caller.mapCreate(MapType.Array, 4, 4, 1);
    const freeze = (size: number, ...bytes: readonly (readonly [number, number])[]) => {
      const attr = new Uint8Array(4096);
      attr[0] = map;
      for (const [place, byte] of bytes) attr[place] = byte;
      caller.memory.set(attr, at - 0x10000000);
      return caller.at(Command.MapFreeze, at, size);
    };
    expect(freeze(152, [4, 1])).toBe(-EINVAL);
    expect(freeze(152, [151, 1])).toBe(-EINVAL);
    expect(freeze(4096, [152, 1])).toBe(-E2BIG);
    expect(freeze(4097)).toBe(-E2BIG);
    expect(freeze(4096)).toBe(0);
    expect(caller.at(Command.MapFreeze, 0x1000, 152)).toBe(-EFAULT);
    expect(caller.at(Command.MapFreeze, at, 0)).toBe(-EBADF);
    expect(caller.call(UNKNOWN, {})).toBe(-EINVAL);
  });

  test("6.1 has fewer commands and shorter attributes", () => {
    const [before, now] = [new Caller({ generation: "6.1" }), new Caller()];
    expect([before, now].map((caller) => caller.call(Command.TokenCreate, {}))).toEqual([-EINVAL, -EOPNOTSUPP]);
    const create = { 0: MapType.Array, 4: 4, 8: 4, 12: 1 };
    expect(before.call(Command.MapCreate, { ...create, 148: 1 })).toBe(-E2BIG);
    expect(now.call(Command.MapCreate, { ...create, 148: 1 })).toBe(-EINVAL);
    expect([before, now].map((caller) => caller.call(Command.MapCreate, { ...create, 76: 1 }))).toEqual([-EINVAL, 3]);
  });
});
