import { describe, expect, test } from "vitest";
import { Command, ERRNO, MapFlag, MapType, PerfRing, ProgramType } from "../../src/index.js";
import { Caller, mapFd } from "./caller.js";
import { storageTypes } from "./storage-types.js";

const { EINVAL, ENOENT, EBADF, EPERM, EFAULT, EEXIST, ENOTSUPP, EOPNOTSUPP, EBADFD } = ERRNO;
const RETURN_0 = "mov %r0, 0\nexit";

describe("ids, pins and links", () => {
  test("ids go up, and lead to descriptors for administrators", () => {
    const caller = new Caller();
    const maps = [1, 2, 3].map(() => caller.mapCreate(MapType.Array, 4, 4, 1));
    caller.close(maps[1] as number);
    const next = (id: number) => {
      const attr = caller.attributes({ 0: id });
      const status = caller.at(Command.MapGetNextId, attr, 152);
      return status < 0 ? status : caller.u32(attr + 4);
    };
    expect([next(0), next(1), next(3), next(0x7fffffff)]).toEqual([1, 3, -ENOENT, -EINVAL]);
    expect(caller.call(Command.MapGetFdById, { 0: 2 })).toBe(-ENOENT);
    expect(caller.call(Command.MapGetFdById, { 0: 1, 8: 1 })).toBe(-EINVAL);
    caller.capabilities = new Set(["CAP_BPF"]);
    expect(next(0)).toBe(-EPERM);
    expect(caller.call(Command.MapGetFdById, { 0: 1 })).toBe(-EPERM);
  });

  test("a pin keeps an object by a path", () => {
    const caller = new Caller();
    const before = caller.arena.used;
    const map = caller.mapCreate(MapType.Array, 4, 4, 1);
    const path = caller.text("/sys/fs/bpf/m");
    const pin = (fd: number, at = path) => caller.call(Command.ObjPin, { 0: BigInt(at), 8: fd });
    const get = (flags = 0, at = path) => caller.call(Command.ObjGet, { 0: BigInt(at), 12: flags });
    expect(get()).toBe(-ENOENT);
    expect(pin(map)).toBe(0);
    expect(pin(map)).toBe(-EEXIST);
    expect(pin(caller.loadBtf(storageTypes().bytes), caller.text("/b"))).toBe(-EINVAL);
    expect(pin(99)).toBe(-EBADF);
    expect(pin(map, 0x1000)).toBe(-EFAULT);
    expect(pin(map, caller.text(""))).toBe(-ENOENT);
    expect(pin(map, caller.put(new Uint8Array(4096).fill(97)))).toBe(-ERRNO.ENAMETOOLONG);
    caller.close(map);
    const again = get(MapFlag.Rdonly);
    expect(caller.update(again, caller.words(0), caller.words(1))).toBe(-EPERM);
    expect(get(MapFlag.Rdonly | MapFlag.Wronly)).toBe(-EINVAL);
    expect(caller.call(Command.ObjGet, { 0: BigInt(path), 16: 5 })).toBe(-EINVAL);
    caller.closeAll();
    expect(caller.arena.used).toBe(before);
  });

  test("a link attaches a program until nobody holds it, and tells what to", () => {
    const attached = new Set<string>();
    const caller = new Caller({
      host: {
        attach: (point) => {
          if (point.kind !== "raw_tracepoint" || point.name !== "sys_enter") return -ENOENT;
          attached.add(point.name);
          return { detach: () => void attached.delete(point.name) };
        },
      },
    });
    const program = caller.load(ProgramType.RawTracepoint, RETURN_0);
    const open = (name: string) => caller.call(Command.RawTracepointOpen, { 0: BigInt(caller.text(name)), 8: program });
    expect(open("nothing")).toBe(-ENOENT);
    const link = open("sys_enter");
    expect([...attached]).toEqual(["sys_enter"]);
    const [info, name] = [caller.room(64), caller.room(16)];
    new DataView(caller.memory.buffer).setUint32(info + 16 - 0x10000000, name, true);
    new DataView(caller.memory.buffer).setUint32(info + 24 - 0x10000000, 16, true);
    expect(caller.call(Command.ObjGetInfoByFd, { 0: link, 4: 64, 8: BigInt(info) })).toBe(0);
    expect([caller.u32(info), caller.u32(info + 4), caller.u32(info + 8)]).toEqual([1, 1, 1]);
    expect([caller.string(name), caller.u32(info + 24)]).toEqual(["sys_enter", 10]);
    expect(caller.call(Command.LinkDetach, { 0: link })).toBe(-EOPNOTSUPP);
    expect(caller.call(Command.LinkUpdate, { 0: link, 4: program })).toBe(-EINVAL);
    caller.close(program);
    const again = caller.call(Command.LinkGetFdById, { 0: 1 });
    caller.close(link);
    expect(attached.size).toBe(1);
    caller.close(again);
    expect(attached.size).toBe(0);
    caller.closeAll();
    expect(caller.call(Command.ObjGetInfoByFd, { 0: link, 4: 64, 8: BigInt(info) })).toBe(-EBADFD);
  });

  test("records of a perf event array lie in its event's ring, and those that are lost are counted there", () => {
    const rings = new Map<number, PerfRing>();
    let woken = 0;
    const caller = new Caller({ host: { perfEvent: (fd) => rings.get(fd) ?? -EBADF } });
    const before = caller.arena.used;
    const ring = new PerfRing(caller.arena, 1, () => woken++);
    rings.set(50, ring);
    const map = caller.mapCreate(MapType.PerfEventArray, 4, 4, 2);
    expect(caller.update(map, caller.words(0), caller.words(51))).toBe(-EBADF);
    expect(caller.update(map, caller.words(0), caller.words(50))).toBe(0);
    const program = caller.load(
      ProgramType.RawTracepoint,
      `stdw [%r10-8], 77
       lddw %r2, ${mapFd(map)}
       mov %r3, 0
       mov %r4, %r10
       add %r4, -8
       mov %r5, 8
       call 25
       exit`,
    );
    const run = () => {
      const attr = caller.attributes({ 0: program });
      expect(caller.at(Command.ProgTestRun, attr, 152)).toBe(0);
      return caller.u32(attr + 4) | 0;
    };
    expect(run()).toBe(0);
    const word = (at: number) => caller.arena.u32(ring.address + at);
    // Type, length, length of what is raw, the number.
    expect([word(1024), word(4096), word(4100) >>> 16, word(4104), word(4108)]).toEqual([24, 9, 24, 12, 77]);
    expect(woken).toBe(1);
    for (let k = 0; k < 300; k++) run();
    expect(ring.lost).toBe(301 - 170);
    caller.arena.setU32(ring.address + 1032, word(1024));
    run();
    expect([ring.lost, word(1024)]).toEqual([0, 170 * 24 + 24 + 24]);
    caller.closeAll();
    ring.put();
    expect(caller.arena.used).toBe(before);
  });

  test("types that were loaded are told as they came", () => {
    const caller = new Caller();
    const { bytes } = storageTypes();
    const btf = caller.loadBtf(bytes);
    const [info, copy] = [caller.room(32), caller.room(bytes.length)];
    const view = new DataView(caller.memory.buffer);
    view.setUint32(info - 0x10000000, copy, true);
    view.setUint32(info + 8 - 0x10000000, bytes.length, true);
    expect(caller.call(Command.ObjGetInfoByFd, { 0: btf, 4: 32, 8: BigInt(info) })).toBe(0);
    expect([caller.u32(info + 8), caller.u32(info + 12), caller.u32(info + 28)]).toEqual([bytes.length, 1, 0]);
    expect(caller.bytes(copy, bytes.length)).toEqual(bytes);
    expect(caller.loadBtf(bytes.subarray(0, 30))).toBe(-EINVAL);
    const log = caller.room(256);
    const broken = bytes.slice();
    broken[0] = 0;
    const attr = caller.attributes({
      ...{ 0: BigInt(caller.put(broken)), 8: BigInt(log), 16: broken.length, 20: 256, 24: 1 },
    });
    expect(caller.at(Command.BtfLoad, attr, 152)).toBe(-EINVAL);
    expect(caller.string(log)).toContain("Invalid magic");
    expect(caller.u32(attr + 28)).toBe(caller.string(log).length + 1);
    caller.close(btf);
    expect(caller.call(Command.BtfGetFdById, { 0: 1 })).toBe(-ENOENT);
  });

  test("arrays of programs may have types, as the kernel says (but not those of perf events)", () => {
    const caller = new Caller();
    const types = storageTypes();
    const btf = caller.loadBtf(types.bytes);
    const make = (type: number, key = types.int) =>
      caller.mapCreate(type, 4, 4, 1, { 48: btf, 52: key, 56: types.int });
    expect(make(MapType.ProgArray)).toBeGreaterThan(0);
    expect(make(MapType.ProgArray, 0)).toBe(-EINVAL);
    expect(make(MapType.PerfEventArray)).toBe(-ENOTSUPP);
  });
});
