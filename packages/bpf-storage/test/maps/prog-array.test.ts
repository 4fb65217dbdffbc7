import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/errors.js";
import type { HeldProgram, TailCallKind } from "../../src/maps/descriptors.js";
import type { ProgArrayMap } from "../../src/maps/prog-array.js";
import { systemLookup } from "../../src/maps/system.js";
import { MapFlag, MapType } from "../../src/uapi/map-types.js";
import { AttachType, ProgramType } from "../../src/uapi/program-types.js";
import { MapBench } from "./host.js";

const KIND: TailCallKind = {
  ...{ type: ProgramType.Xdp, jited: true, xdpHasFrags: false, expectedAttachType: 0, attachedTo: null },
};

const setUp = (...kinds: readonly Partial<TailCallKind>[]) => {
  const bench = new MapBench();
  const programs = kinds.map((kind, k) =>
    Object.assign(bench.object(50 + k, 900 + k), {
      kind: { ...KIND, ...kind },
      replaces: kind.type === ProgramType.Ext,
    }),
  );
  const program = (fd: number): HeldProgram | number => programs[fd] ?? -ERRNO.EBADF;
  bench.descriptors = { ...bench.descriptors, program };
  const map = bench.create<ProgArrayMap>({ type: MapType.ProgArray, valueSize: 4, maxEntries: 4 });
  const put = (index: number, fd: number, flags = 0n) => map.update(bench.keyOf(index), bench.valueOf(fd), flags);
  return { bench, map, programs, put };
};

describe("an array of programs", () => {
  test("holds what tail calls jump to, and tells bpf(2) the numbers of the programs", () => {
    const { bench, map, put } = setUp({}, {});
    expect([put(0, 0), put(2, 1)]).toEqual([0, 0]);
    expect([0, 1, 2].map((index) => map.word(index))).toEqual([50, 0, 51]);
    const { arena } = bench.host;
    expect(systemLookup(arena, map, bench.keyOf(2), bench.value)).toBe(0);
    expect(bench.word(bench.value)).toBe(901);
    expect([1, 9].map((index) => systemLookup(arena, map, bench.keyOf(index), bench.value))).toEqual([
      ...[-ERRNO.ENOENT, -ERRNO.ENOENT],
    ]);
    expect(map.lookup(bench.keyOf(0))).toBe(-ERRNO.EOPNOTSUPP);
  });

  test("looks at flags, then the index, then the descriptor", () => {
    const { put } = setUp({});
    expect([put(9, 7, 1n), put(9, 7), put(0, 7)]).toEqual([-ERRNO.EINVAL, -ERRNO.E2BIG, -ERRNO.EBADF]);
  });

  test("takes only programs like the first: type, engine, fragments, what they are attached to", () => {
    const others = [
      ...[{ type: ProgramType.SchedCls }, { jited: false }, { xdpHasFrags: true }, { expectedAttachType: 37 }],
    ];
    for (const other of others) {
      const { put } = setUp({}, other, {});
      expect([put(0, 0), put(1, 1), put(1, 2)]).toEqual([0, -ERRNO.EINVAL, 0]);
    }
  });

  test("of programs with a function's arguments has those of one function only", () => {
    const traced = { type: ProgramType.Tracing, expectedAttachType: AttachType.TraceFentry };
    const tracing = setUp(
      { ...traced, attachedTo: "a" },
      { ...traced, attachedTo: "b" },
      { ...traced, attachedTo: "a" },
    );
    expect([0, 1, 2].map((fd) => tracing.put(0, fd))).toEqual([0, -ERRNO.EINVAL, 0]);
    const others = setUp({ attachedTo: "a" }, { attachedTo: "b" });
    expect([0, 1].map((fd) => others.put(0, fd))).toEqual([0, 0]);
  });

  test("is decided by a program that uses it, too, and for good", () => {
    const { bench, map, put } = setUp({}, { type: ProgramType.SchedCls });
    expect(map.admits({ ...KIND, type: ProgramType.SchedCls })).toBe(true);
    expect([put(0, 0), put(0, 1)]).toEqual([-ERRNO.EINVAL, 0]);
    map.delete(bench.keyOf(0));
    expect(put(0, 0)).toBe(-ERRNO.EINVAL);
    expect(map.owner?.type).toBe(ProgramType.SchedCls);
  });

  test("takes no programs that replace functions of others", () => {
    expect(setUp({ type: ProgramType.Ext }).put(0, 0)).toBe(-ERRNO.EINVAL);
  });

  test("holds a program once for each slot, and lets go when it is replaced, deleted, cleared or freed", () => {
    const { bench, map, programs, put } = setUp({}, {});
    for (const index of [0, 1, 2]) put(index, 0);
    expect(programs[0]?.holders).toBe(3);
    put(0, 1);
    map.delete(bench.keyOf(1));
    expect(programs.map(({ holders }) => holders)).toEqual([1, 1]);
    map.system.clear?.();
    expect(programs.map(({ holders }) => holders)).toEqual([0, 0]);
    put(3, 1);
    bench.references.drop(map);
    expect(programs[1]?.holders).toBe(0);
  });

  test("has slots to delete: E2BIG beyond them, ENOENT for one that is empty", () => {
    const { bench, map, put } = setUp({});
    put(1, 0);
    expect([1, 1, 4].map((index) => map.delete(bench.keyOf(index)))).toEqual([0, -ERRNO.ENOENT, -ERRNO.E2BIG]);
  });

  test("gives all its indexes one after another, empty or not", () => {
    const { bench, map } = setUp({});
    const next = bench.host.arena.alloc(8);
    const after = (index: number | null): number =>
      map.nextKey(index === null ? 0 : bench.keyOf(index), next) === 0 ? bench.host.arena.u32(next) : -1;
    expect([null, 0, 2, 3, 9].map(after)).toEqual([0, 1, 3, -1, 0]);
  });
});

describe("arrays of perf events and of cgroups", () => {
  const kinds = [
    [MapType.PerfEventArray, "perfEvent"],
    [MapType.CgroupArray, "cgroup"],
  ] as const;
  for (const [type, port] of kinds)
    test(`${port}: hold what descriptors name, which nobody reads`, () => {
      const bench = new MapBench();
      const object = bench.object(5, 6);
      bench.descriptors = { ...bench.descriptors, [port]: (fd: number) => (fd === 3 ? object : -ERRNO.EINVAL) };
      const map = bench.create({
        type,
        valueSize: 4,
        flags: type === MapType.PerfEventArray ? MapFlag.PreserveElems : 0,
      });
      expect([3, 4].map((fd) => map.update(bench.keyOf(0), bench.valueOf(fd), 0n))).toEqual([0, -ERRNO.EINVAL]);
      expect(object.holders).toBe(1);
      expect(systemLookup(bench.host.arena, map, bench.keyOf(0), bench.value)).toBe(-ERRNO.ENOTSUPP);
      expect(map.delete(bench.keyOf(0))).toBe(0);
      expect(object.holders).toBe(0);
    });
});
