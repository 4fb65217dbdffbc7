import { describe, expect, test } from "vitest";
import { Btf, Command, ERRNO, MapFlag, MapType } from "../../src/index.js";
import type { CallerDesc } from "./caller.js";
import { KINDS, kindsOf, Owner, TYPES } from "./storage-owner.js";
import { kernelTypes } from "./storage-types.js";

const { EINVAL, EBADF, EPERM, E2BIG, EACCES, EOPNOTSUPP } = ERRNO;

describe.each(["6.1", "6.12"] as const)("maps of storage by bpf(2), %s", (generation) => {
  const each = kindsOf(generation);
  const caller = (desc: CallerDesc = {}) => new Owner({ generation, ...desc });

  test("S1: key_size 4, value_size above 0, max_entries 0, NO_PREALLOC, and CLONE if wanted", () => {
    const owner = caller();
    for (const kind of each) {
      expect(owner.storage(kind)).toBeGreaterThan(0);
      expect(owner.storage(kind, TYPES.int, 4, { 16: MapFlag.NoPrealloc | MapFlag.Clone })).toBeGreaterThan(0);
      for (const flags of [0, MapFlag.Clone]) expect(owner.storage(kind, TYPES.int, 4, { 16: flags })).toBe(-EINVAL);
      for (const flag of [MapFlag.Rdonly, MapFlag.Wronly, MapFlag.RdonlyProg, MapFlag.NumaNode, MapFlag.Mmapable])
        expect(owner.storage(kind, TYPES.int, 4, { 16: MapFlag.NoPrealloc | flag })).toBe(-EINVAL);
      expect(owner.storage(kind, TYPES.long, 8, { 4: 8 })).toBe(-EINVAL);
      expect(owner.storage(kind, TYPES.int, 0)).toBe(-EINVAL);
      expect(owner.storage(kind, TYPES.int, 4, { 12: 1 })).toBe(-EINVAL);
    }
  });

  test("S1: storage of cgroups came with 6.2", () => {
    expect(caller().storage("cgroups") > 0).toBe(generation === "6.12");
  });

  test("S2: keys and values have types: an integer of 32 bits from bit 0, and one of value_size bytes", () => {
    const owner = caller();
    for (const kind of each) {
      const key = (id: number) => owner.storage(kind, TYPES.int, 4, { 52: id });
      expect([TYPES.int, TYPES.unsigned, TYPES.named].map(key).every((fd) => fd > 0)).toBe(true);
      expect([0, TYPES.four, TYPES.long, TYPES.shifted, 9999].map(key)).toEqual(Array(5).fill(-EINVAL));
      expect(owner.storage(kind, 0, 4)).toBe(-EINVAL);
      expect(owner.storage(kind, TYPES.long, 4)).toBe(-EINVAL);
      expect(owner.storage(kind, TYPES.int, 4, { 48: 77 })).toBe(-EBADF);
      expect(owner.storage(kind, TYPES.int, 4, { 48: owner.storage(kind) })).toBe(-EINVAL);
    }
  });

  test("S3: the largest value has 65407 bytes", () => {
    const owner = caller();
    for (const kind of each) {
      expect(owner.storage(kind, TYPES.array(65407), 65407)).toBeGreaterThan(0);
      expect(owner.storage(kind, TYPES.array(65408), 65408)).toBe(-E2BIG);
    }
  });

  test("S4: without CAP_BPF there are no such maps; nor of inodes where nothing gives them storage", () => {
    const owner = caller();
    for (const allowed of [[], ["CAP_PERFMON"], ["CAP_NET_ADMIN"]] as const) {
      owner.capabilities = new Set(allowed);
      for (const kind of each) expect(owner.storage(kind)).toBe(-EPERM);
    }
    owner.capabilities = new Set(["CAP_BPF"]);
    for (const kind of each) expect(owner.storage(kind)).toBeGreaterThan(0);
    const open = caller({ capabilities: ["CAP_BPF"], host: { unprivileged: true } });
    open.capabilities = new Set();
    for (const kind of each) expect(open.storage(kind)).toBe(-EPERM);
    expect(caller({ without: ["inodes"] }).storage("inodes")).toBe(-EOPNOTSUPP);
    expect(caller({ without: ["inodes"] }).storage("inodes", TYPES.int, 4, { 12: 1 })).toBe(-EINVAL);
  });

  test("S5: max_entries reads 0; memlock counts the map and its buckets, a power of 2 of at least 2, not elements", () => {
    for (const [cpus, buckets] of [
      [1, 2],
      [2, 2],
      [3, 4],
      [8, 8],
    ] as const) {
      const owner = caller({ cpus });
      for (const kind of each) {
        const map = owner.storage(kind);
        const lines = () => owner.files.get(map)?.info.split("\n");
        const memlock = generation === "6.1" ? 0 : 432 + 16 * buckets;
        expect(lines()).toContain(`memlock:\t${memlock}`);
        expect(lines()).toContain("max_entries:\t0");
        owner.set(map, owner.open(kind), 1);
        expect(lines()).toContain(`memlock:\t${memlock}`);
        const info = owner.room(88);
        expect(owner.call(Command.ObjGetInfoByFd, { 0: map, 4: 88, 8: BigInt(info) })).toBe(0);
        expect([owner.u32(info), owner.u32(info + 16)]).toEqual([KINDS[kind], 0]);
      }
    }
  });

  test("S6: values may hold locks; pointers to objects since 6.2; no timers, queues of work, lists or trees", () => {
    const owner = caller({ host: { kernelBtf: new Btf(kernelTypes().bytes) } });
    for (const kind of each) {
      expect(owner.storage(kind, TYPES.locked, 8)).toBeGreaterThan(0);
      const pointing = [TYPES.kptr, ...(generation === "6.1" ? [] : [TYPES.untrusted])];
      for (const value of pointing) {
        const made = owner.storage(kind, value, 8);
        if (generation === "6.1") expect(made).toBe(-EOPNOTSUPP);
        else expect(made).toBeGreaterThan(0);
      }
      expect(owner.storage(kind, TYPES.timed, 16)).toBe(-EOPNOTSUPP);
      // 6.1 does not know these, and takes them for plain bytes.
      for (const [value, size] of [
        [TYPES.work, 16],
        [TYPES.listed, 24],
        [TYPES.tree, 24],
      ] as const) {
        const made = owner.storage(kind, value, size);
        if (generation === "6.1") expect(made).toBeGreaterThan(0);
        else expect(made).toBe(-EOPNOTSUPP);
      }
    }
  });

  test("maps whose programs may only read hold nothing special", () => {
    const owner = caller();
    const array = (flags: number) =>
      owner.mapCreate(MapType.Array, 4, 8, 1, { 16: flags, 48: owner.btf, 52: TYPES.int, 56: TYPES.locked });
    expect(array(0)).toBeGreaterThan(0);
    expect(array(MapFlag.RdonlyProg)).toBe(-EACCES);
    const writeOnly = array(MapFlag.WronlyProg);
    if (generation === "6.1") expect(writeOnly).toBeGreaterThan(0);
    else expect(writeOnly).toBe(-EACCES);
  });
});
