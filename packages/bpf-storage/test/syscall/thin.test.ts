import { describe, expect, test } from "vitest";
import { Command, ERRNO, MapType, ProgramType } from "../../src/index.js";
import { Caller, mapFd } from "./caller.js";

describe.each(["6.1", "6.12"] as const)("bpf(2), %s", (generation) => {
  test("a map, a program that counts in it, runs, and a lookup", () => {
    const caller = new Caller({ generation });
    const map = caller.mapCreate(MapType.Array, 4, 8, 1);
    expect(map).toBe(3);
    const program = caller.load(
      ProgramType.RawTracepoint,
      `stw [%r10-4], 0
       mov %r2, %r10
       add %r2, -4
       lddw %r1, ${mapFd(map)}
       call 1
       jeq %r0, 0, out
       mov %r1, 1
       lock add [%r0], %r1
       out:
       mov %r0, 7
       exit`,
    );
    expect(program).toBe(4);
    for (let k = 0; k < 3; k++) {
      const at = caller.attributes({ 0: program });
      expect(caller.at(Command.ProgTestRun, at, 152)).toBe(0);
      expect(caller.u32(at + 4)).toBe(7);
    }
    const value = caller.room(8);
    expect(caller.lookup(map, caller.words(0), value)).toBe(0);
    expect(caller.u32(value)).toBe(3);
    expect(caller.lookup(map, caller.words(1), value)).toBe(-ERRNO.ENOENT);
    caller.closeAll();
    expect(caller.runtime.maps.size).toBe(0);
  });
});
