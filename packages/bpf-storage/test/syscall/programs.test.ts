import { describe, expect, test } from "vitest";
import { Command, ERRNO, encodeInsns, type Insn, inTurns, MapType, ProgramType } from "../../src/index.js";
import { assemble } from "../engine/assemble.js";
import { Caller, mapFd, START } from "./caller.js";
import { storageTypes } from "./storage-types.js";

const { EINVAL, EBADF, EPERM, EFAULT, ENOSPC, EACCES } = ERRNO;
const MOV_0 = assemble("mov %r0, 0")[0] as Insn;
const RETURN_0 = "mov %r0, 0\nexit";

describe("programs", () => {
  test("the log of a program that is refused says why, and of one that is too long what it would take", () => {
    const caller = new Caller();
    const load = (size: number, level = 1) => {
      const log = caller.room(1000);
      const insns = Uint8Array.of(0x95, 0, 0, 0, 0, 0, 0, 0);
      const attr = caller.attributes({
        ...{ 0: ProgramType.SocketFilter, 4: 1, 8: BigInt(caller.put(insns)), 16: BigInt(caller.text("GPL")) },
        ...{ 24: level, 28: size, 32: BigInt(size === 0 ? 0 : log) },
      });
      return { status: caller.at(Command.ProgLoad, attr, 152), log: caller.string(log), true: caller.u32(attr + 140) };
    };
    const whole = load(1000);
    expect(whole.status).toBe(-EACCES);
    expect(whole.log).toContain("R0 !read_ok");
    expect(whole.true).toBe(whole.log.length + 1);
    const short = load(20);
    expect([short.status, short.true]).toEqual([-ENOSPC, whole.true]);
    // The end is what tells why; the beginning is kept for who asks.
    expect(short.log).toBe(whole.log.slice(-19));
    expect(load(20, 1 | 8).log).toBe(whole.log.slice(0, 19));
    expect(load(1000, 0).status).toBe(-EINVAL);
    expect(load(1000, 16).status).toBe(-EINVAL);
    expect([load(0).status, load(0).true]).toEqual([-EACCES, whole.true]);
  });

  test("of a program that is fine the log only says how much there was to do", () => {
    const caller = new Caller();
    const log = caller.room(1000);
    const load = (level: number) =>
      caller.load(ProgramType.SocketFilter, RETURN_0, { 24: level, 28: 1000, 32: BigInt(log) });
    expect(load(1)).toBeGreaterThan(0);
    expect(caller.string(log)).toMatch(/^processed 2 insns .*\n$/);
    expect(load(2)).toBeGreaterThan(0);
    expect(caller.string(log)).toContain("1: (95) exit");
  });

  test("names have letters of Latin-1, digits, _ and dots", () => {
    const caller = new Caller();
    const named = (name: string) =>
      caller.load(ProgramType.SocketFilter, RETURN_0, { 48: Uint8Array.from(name, (letter) => letter.charCodeAt(0)) });
    for (const name of ["", "a.b_1", "\u00ff\u00c0", "a\0-", "012345678901234"]) expect(named(name)).toBeGreaterThan(0);
    for (const name of ["a-b", " ", "\u00f7", "\u00a0", "0123456789012345"]) expect(named(name)).toBe(-EINVAL);
  });

  test("more records than are allocated at once are ENOMEM, of another size EINVAL", () => {
    const caller = new Caller();
    const btf = caller.loadBtf(storageTypes().bytes);
    const load = (size: number, count: number) =>
      caller.load(ProgramType.SocketFilter, RETURN_0, { 72: btf, 76: size, 80: BigInt(caller.room(16)), 88: count });
    expect(load(8, 0xffffffff)).toBe(-ERRNO.ENOMEM);
    const before = new Caller({ generation: "6.1" });
    const fields = { 72: before.loadBtf(storageTypes().bytes), 76: 8, 80: BigInt(before.room(16)), 88: 0xffffffff };
    expect(before.load(ProgramType.SocketFilter, RETURN_0, fields)).toBe(-EINVAL);
    expect(load(4, 0xffffffff)).toBe(-EINVAL);
    expect(load(256, 1)).toBe(-EINVAL);
  });

  test("a map that is not there is EBADF, whether the program may sleep or not", () => {
    const caller = new Caller();
    const load = (source: string) => caller.load(ProgramType.SocketFilter, source, { 44: 16 });
    const naming = `lddw %r1, ${mapFd(99)}\n${RETURN_0}`;
    expect(load(naming)).toBe(-EBADF);
    expect(load(RETURN_0)).toBe(-EINVAL);
    // 6.1 asks in another order.
    expect(new Caller({ generation: "6.1" }).load(ProgramType.SocketFilter, naming, { 44: 16 })).toBe(-EINVAL);
  });

  test("what a program is attached to is asked after maps and paths have been looked at, before 6.2 ahead of both", () => {
    const load = (generation: "6.1" | "6.12", source: string, type: number = ProgramType.StructOps) =>
      new Caller({ generation }).load(type, source);
    const naming = `lddw %r1, ${mapFd(99)}\n${RETURN_0}`;
    const unreachable = `${RETURN_0}\n${RETURN_0}`;
    expect([load("6.12", naming), load("6.1", naming)]).toEqual([-EBADF, -ERRNO.ENOTSUPP]);
    expect([load("6.12", unreachable), load("6.1", unreachable)]).toEqual([-EINVAL, -ERRNO.ENOTSUPP]);
    expect([load("6.12", RETURN_0), load("6.1", RETURN_0)]).toEqual([-ERRNO.ENOTSUPP, -ERRNO.ENOTSUPP]);
    const syscall = (source: string) =>
      (["6.12", "6.1"] as const).map((generation) => load(generation, source, ProgramType.Syscall));
    expect(syscall(naming)).toEqual([-EBADF, -EINVAL]);
  });

  test("maps are looked for where instructions name them, when the program is known to be made of functions", () => {
    const load = (generation: "6.1" | "6.12", ...tail: number[]) => {
      const caller = new Caller({ generation });
      // A map by its place in an array that is not there.
      const byPlace = [0x18, 0x51, ...Array<number>(14).fill(0)];
      const insns = Uint8Array.of(...byPlace, ...tail);
      return caller.load(ProgramType.SocketFilter, RETURN_0, { 4: insns.length / 8, 8: BigInt(caller.put(insns)) });
    };
    const exit = [0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];
    const noExit = [0xb7, 0, 0, 0, 0, 0, 0, 0];
    const unknown = [0xff, 0, 0, 0, 0, 0, 0, 0];
    for (const generation of ["6.1", "6.12"] as const) {
      expect(load(generation, ...exit)).toBe(-ERRNO.EPROTO);
      expect(load(generation, ...unknown, ...exit)).toBe(-ERRNO.EPROTO);
      expect(load(generation, ...exit, ...exit)).toBe(-ERRNO.EPROTO);
      expect(load(generation, ...noExit)).toBe(-EINVAL);
    }
  });

  test("a packet that is cut short is ENOSPC, also where it cannot be written", () => {
    const caller = new Caller();
    const program = caller.load(ProgramType.SocketFilter, RETURN_0);
    const data = caller.room(64);
    const run = (out: number, size: number) =>
      caller.call(Command.ProgTestRun, { 0: program, 8: 64, 12: size, 16: BigInt(data), 24: BigInt(out) });
    expect(run(0x1000, 14)).toBe(-ENOSPC);
    expect(run(0x1000, 64)).toBe(-EFAULT);
    expect(run(data, 14)).toBe(-ENOSPC);
    expect(run(data, 64)).toBe(0);
  });

  test("a program can be loaded in turns of the event loop", async () => {
    const caller = new Caller();
    const insns = encodeInsns([...Array(3000).fill(MOV_0), ...assemble(RETURN_0)]);
    const attr = caller.attributes({
      ...{ 0: ProgramType.SocketFilter, 4: insns.length / 8 },
      ...{ 8: BigInt(caller.put(insns)), 16: BigInt(caller.text("GPL")) },
    });
    expect(await inTurns(caller.syscalls.calling(Command.ProgLoad, attr, 152))).toBe(3);
    const work = caller.syscalls.calling(Command.ProgLoad, attr, 152);
    expect(work.next().done).toBe(false);
    // Nobody waits for it any more: what it holds is let go.
    expect(work.return(0).done).toBe(true);
    expect(caller.files.size).toBe(1);
  });

  test("an XDP packet larger than a page has a part that programs do not see", () => {
    const caller = new Caller();
    const program = caller.load(ProgramType.Xdp, "ldxw %r0, [%r1+4]\nldxw %r2, [%r1]\nsub %r0, %r2\nexit");
    const [data, out] = [caller.put(new Uint8Array(5000).fill(7)), caller.room(5000)];
    const attr = caller.attributes({ 0: program, 8: 5000, 12: 5000, 16: BigInt(data), 24: BigInt(out) });
    const status = caller.at(Command.ProgTestRun, attr, 152);
    expect(status === 0 ? [caller.u32(attr + 4), caller.u32(attr + 12)] : status).toEqual([4096 - 256 - 320, 5000]);
    expect(caller.bytes(out, 5000).every((byte) => byte === 7)).toBe(true);
  });

  test("meta data of an XDP packet is 32 bytes at most in 6.1, and what there is room for behind the kernel's own in 6.12", () => {
    const sizes = Array.from({ length: 260 }, (_, k) => k);
    const upTo = (most: number) => sizes.filter((size) => size % 4 === 0 && size <= most);
    const given = (generation: "6.1" | "6.12") => {
      const caller = new Caller({ generation });
      const program = caller.load(ProgramType.Xdp, "mov %r0, 2\nexit");
      const data = BigInt(caller.room(1000));
      const context = caller.room(24);
      return sizes.filter((size) => {
        caller.memory.set(Uint8Array.from([size & 255, size >> 8, 0, 0, 1000 & 255, 1000 >> 8]), context - START);
        const run = { 0: program, 8: 1000, 16: data, 40: 24, 48: BigInt(context) };
        return caller.call(Command.ProgTestRun, run) === 0;
      });
    };
    expect([given("6.1"), given("6.12")]).toEqual([upTo(32), upTo(256 - 40)]);
    // What a program makes itself is told apart: no room in front, or more than can be.
    const made = (generation: "6.1" | "6.12", size: number) => {
      const caller = new Caller({ generation });
      const source = `mov %r2, ${-size}\ncall 54\nexit`;
      const program = caller.load(ProgramType.Xdp, source);
      const attr = caller.attributes({ 0: program, 8: 64, 16: BigInt(caller.room(64)) });
      expect(caller.at(Command.ProgTestRun, attr, 80)).toBe(0);
      return caller.u32(attr + 4) | 0;
    };
    expect([made("6.1", 32), made("6.1", 36), made("6.1", 252)]).toEqual([0, -EACCES, -EINVAL]);
    expect([made("6.12", 36), made("6.12", 216), made("6.12", 220)]).toEqual([0, 0, -EINVAL]);
  });

  test("of other packets the caller says no meta data, and no more than some fields of the context", () => {
    const caller = new Caller();
    const program = caller.load(ProgramType.SchedCls, RETURN_0);
    const data = BigInt(caller.room(100));
    const context = caller.room(192);
    const run = { 0: program, 8: 100, 16: data, 40: 192, 48: BigInt(context) };
    const answers = new Map<number, number[]>();
    for (let at = 0; at < 192; at++) {
      caller.memory.fill(0, context - START, context - START + 192);
      caller.memory[context - START + at] = 1;
      const answer = caller.call(Command.ProgTestRun, run);
      answers.set(answer, [...(answers.get(answer) ?? []), at]);
    }
    const range = (first: number, end: number) => Array.from({ length: end - first }, (_, k) => first + k);
    // mark, priority to ifindex, cb, tstamp, wire_len (at least the packet, at most 65536), gso_segs (16 bits), gso_size, hwtstamp.
    expect(answers.get(0)).toEqual([
      ...[...range(8, 12), ...range(32, 41), ...range(48, 68), ...range(152, 160), 161, 162, 164, 165],
      ...[...range(176, 180), ...range(184, 192)],
    ]);
    expect(answers.get(-ERRNO.ENODEV)).toEqual([41, 42, 43]);
    expect(answers.get(-EINVAL)).toHaveLength(132);
  });

  test("who may load what", () => {
    const caller = new Caller();
    const load = (type: number, ...capabilities: ("CAP_BPF" | "CAP_PERFMON" | "CAP_NET_ADMIN")[]) => {
      caller.capabilities = new Set(capabilities);
      return caller.load(type, RETURN_0);
    };
    expect(load(ProgramType.SocketFilter)).toBe(-EPERM);
    expect(load(ProgramType.RawTracepoint, "CAP_BPF")).toBe(-EPERM);
    expect(load(ProgramType.RawTracepoint, "CAP_BPF", "CAP_PERFMON")).toBeGreaterThan(0);
    expect(load(ProgramType.Xdp, "CAP_BPF", "CAP_PERFMON")).toBe(-EPERM);
    expect(load(ProgramType.Xdp, "CAP_BPF", "CAP_PERFMON", "CAP_NET_ADMIN")).toBeGreaterThan(0);
  });

  test("maps are named by descriptors or by places in an array of them, and what is neither is said", () => {
    const caller = new Caller();
    const map = caller.mapCreate(MapType.Array, 4, 8, 1);
    const program = caller.load(ProgramType.SocketFilter, RETURN_0);
    const source = (fd: number) => `lddw %r1, ${mapFd(fd)}\n${RETURN_0}`;
    expect(caller.load(ProgramType.SocketFilter, source(map))).toBeGreaterThan(0);
    expect(caller.load(ProgramType.SocketFilter, source(99))).toBe(-EBADF);
    expect(caller.load(ProgramType.SocketFilter, source(program))).toBe(-EINVAL);
    const byPlace = Uint8Array.of(
      0x18,
      0x51,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0xb7,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
      0x95,
      0,
      0,
      0,
      0,
      0,
      0,
      0,
    );
    const load = (fds: bigint) =>
      caller.call(Command.ProgLoad, {
        ...{
          0: ProgramType.SocketFilter,
          4: 4,
          8: BigInt(caller.put(byPlace)),
          16: BigInt(caller.text("GPL")),
          120: fds,
        },
      });
    expect(load(0n)).toBe(-ERRNO.EPROTO);
    expect(load(0x1000n)).toBe(-EFAULT);
    const loaded = load(BigInt(caller.words(0, map)));
    const info = caller.room(232);
    const ids = caller.room(8);
    caller.memory.set([1], info + 52 - 0x10000000);
    new DataView(caller.memory.buffer).setUint32(info + 56 - 0x10000000, ids, true);
    expect(caller.call(Command.ObjGetInfoByFd, { 0: loaded, 4: 232, 8: BigInt(info) })).toBe(0);
    expect([caller.u32(info + 52), caller.u32(ids)]).toEqual([1, 1]);
  });

  test("an array of programs holds them until nobody can reach it, though they use it themselves", () => {
    const caller = new Caller();
    const before = caller.arena.used;
    const array = caller.mapCreate(MapType.ProgArray, 4, 4, 2);
    const tail = (index: number) => `mov %r3, ${index}\nlddw %r2, ${mapFd(array)}\ncall 12\n${RETURN_0}`;
    const [first, second] = [
      caller.load(ProgramType.SocketFilter, tail(1)),
      caller.load(ProgramType.SocketFilter, "mov %r0, 9\nexit"),
    ];
    expect(caller.update(array, caller.words(0), caller.words(first))).toBe(0);
    expect(caller.update(array, caller.words(1), caller.words(second))).toBe(0);
    expect(caller.update(array, caller.words(0), caller.words(caller.load(ProgramType.Xdp, RETURN_0)))).toBe(-EINVAL);
    expect(caller.update(array, caller.words(0), caller.words(99))).toBe(-EBADF);
    caller.close(second);
    const data = caller.room(64);
    const attr = caller.attributes({ 0: first, 8: 64, 16: BigInt(data) });
    expect(caller.at(Command.ProgTestRun, attr, 152)).toBe(0);
    expect(caller.u32(attr + 4)).toBe(9);
    caller.closeAll();
    expect(caller.arena.used).toBe(before);
  });

  test("runs are counted as long as somebody wants them counted", () => {
    const caller = new Caller();
    const program = caller.load(ProgramType.RawTracepoint, RETURN_0);
    const run = () => caller.call(Command.ProgTestRun, { 0: program });
    const counted = () => {
      const info = caller.room(232);
      caller.call(Command.ObjGetInfoByFd, { 0: program, 4: 232, 8: BigInt(info) });
      return caller.u32(info + 200);
    };
    run();
    const stats = caller.call(Command.EnableStats, {});
    run();
    run();
    expect(counted()).toBe(2);
    caller.close(stats);
    run();
    expect(counted()).toBe(2);
    expect(caller.call(Command.EnableStats, { 0: 1 })).toBe(-EINVAL);
  });
});
