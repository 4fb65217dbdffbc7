import { describe, expect, test } from "vitest";
import { AttachType, Command, ERRNO, MapFlag, MapType, ProgramType } from "../../src/index.js";
import { BtfBuilder } from "../btf/builder.js";
import { Caller, mapFd } from "./caller.js";

const RETURN_0 = "mov %r0, 0\nexit";

/** What libbpf asks of a kernel before it does anything else (tools/lib/bpf/features.c of 6.12): all of it is there, in both generations. */
describe.each(["6.1", "6.12"] as const)("what libbpf probes, %s", (generation) => {
  const name = (text: string) => new TextEncoder().encode(text);

  test("programs and maps have names", () => {
    const caller = new Caller({ generation });
    expect(caller.load(ProgramType.SocketFilter, RETURN_0, { 48: name("libbpf_nametest") })).toBeGreaterThan(0);
  });

  test("the value of an array can be addressed by programs", () => {
    const caller = new Caller({ generation });
    const map = caller.mapCreate(MapType.Array, 4, 32, 1, { 28: name("libbpf_global") });
    // r1 = &value[16]; *(u64 *)r1 = 42; r0 = 0; exit
    const insns = Uint8Array.of(
      ...[0x18, 0x21, 0, 0, map, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0],
      ...[0x7a, 1, 0, 0, 42, 0, 0, 0, 0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0],
    );
    const program = caller.call(Command.ProgLoad, {
      ...{ 0: ProgramType.SocketFilter, 4: 5, 8: BigInt(caller.put(insns)), 16: BigInt(caller.text("GPL")) },
    });
    const data = caller.room(64);
    expect(caller.call(Command.ProgTestRun, { 0: program, 8: 64, 16: BigInt(data) })).toBe(0);
    const value = caller.room(32);
    expect(caller.lookup(map, caller.words(0), value)).toBe(0);
    expect(caller.u32(value + 16)).toBe(42);
  });

  test("kinds of types", () => {
    const caller = new Caller({ generation });
    const loads = (write: (build: BtfBuilder, int: number) => void): boolean => {
      const build = new BtfBuilder();
      write(build, build.int("int", 4, 1));
      return caller.loadBtf(build.build()) > 0;
    };
    const results = [
      loads((build, int) => build.func("static", build.proto(0, [["a", int]]), 0)),
      loads((build, int) => build.func("global", build.proto(0, [["a", int]]), 1)),
      loads((build, int) => build.datasec("x", 4, [[build.var("a", int, 0), 0, 4]])),
      loads((build) => build.float("f", 4)),
      loads((build, int) => build.declTag("tag", build.var("a", int))),
      loads((build, int) => build.ptr(build.typeTag("tag", int))),
      loads((build) => build.enum64("e", [["A", 1n]])),
    ];
    expect(results).toEqual(Array(7).fill(true));
  });

  test("arrays that can be mapped, attach types, names of type information, maps that are bound", () => {
    const caller = new Caller({ generation });
    expect(caller.mapCreate(MapType.Array, 4, 4, 1, { 16: MapFlag.Mmapable })).toBeGreaterThan(0);
    expect(caller.load(ProgramType.CgroupSock, "mov %r0, 1\nexit", { 68: 2 })).toBeGreaterThan(0);
    const build = new BtfBuilder();
    build.int("int", 4, 1);
    const btf = caller.loadBtf(build.build());
    const [info, text] = [caller.room(32), caller.room(16)];
    new DataView(caller.memory.buffer).setUint32(info + 16 - 0x10000000, text, true);
    new DataView(caller.memory.buffer).setUint32(info + 24 - 0x10000000, 16, true);
    expect(caller.call(Command.ObjGetInfoByFd, { 0: btf, 4: 32, 8: BigInt(info) })).toBe(0);
    expect([caller.string(text), caller.u32(info + 24)]).toEqual(["", 0]);
    const map = caller.mapCreate(MapType.Array, 4, 32, 1);
    const program = caller.load(ProgramType.SocketFilter, RETURN_0);
    expect(caller.call(Command.ProgBindMap, { 0: program, 4: map })).toBe(0);
    expect(caller.call(Command.ProgBindMap, { 0: program, 4: map })).toBe(0);
  });

  test("helpers of tracing, cookies, coarse clocks", () => {
    const caller = new Caller({ generation });
    const read = "mov %r1, %r10\nadd %r1, -8\nmov %r2, 8\nmov %r3, 0\ncall 113\nexit";
    expect(caller.load(ProgramType.Tracepoint, read)).toBeGreaterThan(0);
    expect(caller.load(ProgramType.Tracepoint, "call 174\nexit")).toBeGreaterThan(0);
    expect(caller.load(ProgramType.SocketFilter, "call 160\nexit")).toBeGreaterThan(0);
  });

  test("a link to a perf event that is none is EBADF, which says that there are such links", () => {
    const caller = new Caller({ generation });
    const program = caller.load(ProgramType.Tracepoint, RETURN_0);
    const link = { 0: program, 4: 0xffffffff, 8: AttachType.PerfEvent };
    expect(caller.call(Command.LinkCreate, link)).toBe(-ERRNO.EBADF);
  });

  test("a map that a program names by a descriptor that is closed stays with it", () => {
    const caller = new Caller({ generation });
    const map = caller.mapCreate(MapType.Array, 4, 8, 1);
    const program = caller.load(ProgramType.SocketFilter, `lddw %r1, ${mapFd(map)}\n${RETURN_0}`);
    caller.close(map);
    expect(caller.runtime.maps.size).toBe(1);
    caller.close(program);
    expect(caller.runtime.maps.size).toBe(0);
  });
});
