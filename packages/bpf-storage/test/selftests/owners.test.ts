import { describe, expect, test } from "vitest";
import { ERRNO, type Generation } from "../../src/index.js";
import { ownKernel, ownObject } from "./own.js";
import { ReferenceFiles } from "./reference-files.js";
import type { ReferenceKernel } from "./reference-kernel.js";
import { ReferenceSockets, Tcp } from "./reference-sockets.js";
import { Skeleton } from "./skeleton.js";
import { SystemSide, words } from "./system-side.js";

/** Storage of all four kinds of owners on the reference kernel, by programs of our own. */

const [GIVE, ADD, TAKE] = [0, 1, 2];
const NONE = -1;
const PID = 7;

interface Stage {
  readonly kernel: ReferenceKernel;
  readonly files: ReferenceFiles;
  readonly sockets: ReferenceSockets;
  readonly system: SystemSide;
  readonly skeleton: Skeleton;
  readonly task: number;
  readonly cgroup: number;
  readonly inode: number;
  readonly sock: number;
  /** Programs do this to every owner, on their events. @returns what came of it: of the task, the inode, the socket, the cgroup */
  readonly all: (todo: number) => number[];
}

function stage(generation: Generation, engine: "jit" | "interpreter"): Stage {
  const kernel = ownKernel(generation, engine);
  const [files, sockets, system] = [new ReferenceFiles(kernel), new ReferenceSockets(kernel), new SystemSide(kernel)];
  const cgroup = kernel.makeCgroup(1234);
  const task = kernel.fork(PID, { cgroup });
  const inode = files.makeInode();
  kernel.run(task);
  const sock = sockets.startServer(cgroup);
  const skeleton = new Skeleton(kernel, ownObject("owners"));
  kernel.attach(skeleton.loaded);
  const all = (todo: number): number[] => {
    skeleton.set("todo", todo);
    kernel.systemCall();
    files.unlink(inode);
    sockets.bind(sock);
    return ["task_result", "inode_result", "socket_result", "cgroup_result"].map((name) => skeleton.get(name));
  };
  return { kernel, files, sockets, system, skeleton, task, cgroup, inode, sock, all };
}

describe.each(["jit", "interpreter"] as const)("owners of all kinds, %s", (engine) => {
  test("get, create and delete by helpers", () => {
    const { all, skeleton } = stage("6.12", engine);
    expect(all(ADD)).toEqual([NONE, NONE, NONE, NONE]);
    expect(all(GIVE)).toEqual([10, 20, 30, 40]);
    expect(all(ADD)).toEqual([11, 21, 31, 41]);
    // A value to begin with is for those who have none.
    expect(all(GIVE)).toEqual([11, 21, 31, 41]);
    expect(all(TAKE)).toEqual([0, 0, 0, 0]);
    expect(all(ADD)).toEqual([NONE, NONE, NONE, NONE]);
    const none = -ERRNO.ENOENT;
    expect(all(TAKE)).toEqual([none, none, none, none]);
    expect(skeleton.sound).toBe(true);
  });

  test("what programs write is read from outside, and the other way round", () => {
    const { all, kernel, skeleton, system, task, inode, sock, cgroup } = stage("6.12", engine);
    all(GIVE);
    const fds = {
      tasks: kernel.open("tasks", task),
      inodes: kernel.open("inodes", inode),
      sockets: kernel.open("sockets", sock),
      cgroups: kernel.open("cgroups", cgroup),
    };
    const each = Object.entries(fds).map(([name, fd]) => ({ map: skeleton.map(name), fd }));
    expect(each.map(({ map, fd }) => system.lookup(map, fd))).toEqual(
      [10, 20, 30, 40].map((n) => Uint32Array.of(n, 0)),
    );
    for (const { map, fd } of each) expect(system.update(map, fd, words(5, 0))).toBe(0);
    expect(all(ADD)).toEqual([6, 6, 6, 6]);
    for (const { map, fd } of each) expect(system.delete(map, fd)).toBe(0);
    expect(all(ADD)).toEqual([NONE, NONE, NONE, NONE]);
  });

  test("a program finds the storage of its task and of a socket where the types say, and the map that it was made for", () => {
    const { all, skeleton, system, kernel, task } = stage("6.12", engine);
    const looks = () => [skeleton.get("task_smap"), skeleton.get("socket_smap")];
    all(ADD);
    expect(looks()).toEqual([0, 0]);
    all(GIVE);
    expect(looks()).toEqual([1, 1]);
    // With the element of the map that it was made for, it forgets the map; it lives on with those of others.
    const other = kernel.runtime.createMap({ ...skeleton.map("tasks").desc, name: "other" });
    expect(system.update(other, kernel.open("tasks", task), words(1, 0))).toBe(0);
    all(TAKE);
    expect(looks()).toEqual([0, 0]);
    expect(kernel.objects.follow(task, "task_struct.bpf_storage")).not.toBe(0);
    system.delete(other, kernel.open("tasks", task));
    expect(kernel.objects.get(task, "task_struct.bpf_storage")).toBe(0);
  });

  test("H3: what is on its way out gets no storage, and keeps what it has", () => {
    const { all, kernel, sockets, skeleton, cgroup, sock } = stage("6.12", engine);
    all(GIVE);
    kernel.killCgroup(cgroup);
    sockets.dying(sock);
    expect(all(ADD).slice(2)).toEqual([31, 41]);
    // What nobody refers to is not taken from, where a reference is needed for that.
    expect(all(TAKE)).toEqual([0, 0, -ERRNO.ENOENT, 0]);
    expect(all(GIVE)).toEqual([10, 20, 31, NONE]);
    const other = sockets.socket();
    sockets.dying(other);
    skeleton.set("todo", GIVE);
    sockets.bind(other);
    expect(skeleton.get("socket_result")).toBe(NONE);
    // A task whose last reference is given up, when its storage is gone.
    const task = kernel.fork(8);
    kernel.putTask(task);
    expect(skeleton.get("task_result")).toBe(NONE);
  });

  test("H3: a socket that is not a whole one has no storage", () => {
    const { kernel, sockets, skeleton } = stage("6.12", engine);
    skeleton.set("todo", GIVE);
    const sock = sockets.socket();
    for (const [state, result] of [
      [6, NONE],
      [12, NONE],
      [Tcp.close, 30],
    ] as const) {
      kernel.objects.set(sock, "sock.__sk_common.skc_state", state);
      sockets.state(sock, Tcp.close);
      expect(skeleton.get("socket_result")).toBe(result);
    }
  });

  test("S13: storage of an inode is the same by whichever descriptor", () => {
    const { files, system, skeleton, inode } = stage("6.12", engine);
    const [one, another, stranger] = [files.open(inode), files.open(inode), files.open(files.makeInode())];
    const map = skeleton.map("inodes");
    expect(system.update(map, one, words(8, 0))).toBe(0);
    expect(system.lookup(map, another)).toEqual(Uint32Array.of(8, 0));
    expect(system.lookup(map, stranger)).toBe(-ERRNO.ENOENT);
  });

  test("S14: values are on the account of a socket, and leave it again", () => {
    for (const [generation, statuses] of [
      ["6.1", [-ERRNO.ENOMEM, -ERRNO.ENOMEM, -ERRNO.ENOMEM]],
      ["6.12", [0, 0, -ERRNO.ENOMEM]],
    ] as const) {
      const kernel = ownKernel(generation, engine);
      const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
      const sock = sockets.socket();
      const fd = sockets.open(sock);
      const account = () => kernel.objects.get(sock, "sock.sk_omem_alloc.counter");
      const desc = { type: 24, keySize: 4, valueSize: 60000, maxEntries: 0, flags: 1, name: "large" };
      const maps = [1, 2, 3].map(() => kernel.runtime.createMap(desc));
      const value = new Uint8Array(60000);
      expect(maps.map((map) => system.update(map, fd, value))).toEqual(statuses);
      const given = statuses.filter((status) => status === 0).length;
      expect(account()).toBe(given === 0 ? 0 : given * (60000 + 128) + 192);
      for (const map of maps) kernel.runtime.freeMap(map);
      expect(account()).toBe(0);
    }
  });

  test("S15: a socket that is accepted has copies of what maps with CLONE hold for the one that listens", () => {
    const { all, system, sockets, skeleton, sock } = stage("6.12", engine);
    all(GIVE);
    const [plain, copied] = [skeleton.map("sockets"), skeleton.map("copied")];
    const listening = sockets.open(sock);
    for (const map of [plain, copied]) expect(system.update(map, listening, words(77, 0))).toBe(0);
    skeleton.set("todo", ADD);
    const connection = sockets.connect(sock);
    const accepted = sockets.open(sockets.accept(sock, connection));
    expect(system.lookup(copied, accepted)).toEqual(Uint32Array.of(77, 0));
    expect(system.lookup(plain, accepted)).toBe(-ERRNO.ENOENT);
    expect(system.lookup(copied, sockets.open(connection.active))).toBe(-ERRNO.ENOENT);
    system.update(copied, accepted, words(1, 0));
    expect(system.lookup(copied, listening)).toEqual(Uint32Array.of(77, 0));
  });

  test("L1, L2: owners take their storage with them and maps theirs, in whatever order; nothing is left", () => {
    const { kernel, files, sockets, skeleton, all } = stage("6.12", engine);
    all(GIVE);
    all(TAKE);
    const { used } = kernel.arena;
    const maps = () => ["tasks", "inodes", "sockets", "cgroups"].map((name) => skeleton.map(name).desc);
    for (const ownersFirst of [true, false]) {
      const made = maps().map((desc) => kernel.runtime.createMap(desc));
      const objects = [kernel.fork(9), files.makeInode(), sockets.socket(), kernel.makeCgroup(5)] as const;
      const system = new SystemSide(kernel);
      const kinds = ["tasks", "inodes", "sockets", "cgroups"] as const;
      for (const [k, kind] of kinds.entries()) {
        const [map, object] = [made[k], objects[k]];
        if (map === undefined || object === undefined) throw new RangeError(`no ${kind}`);
        expect(system.update(map, kernel.open(kind, object), words(3, 0))).toBe(0);
      }
      const free = [
        () => {
          kernel.putTask(objects[0]);
          files.freeInode(objects[1]);
          sockets.close(objects[2]);
          kernel.freeCgroup(objects[3]);
        },
        () => {
          for (const map of made) kernel.runtime.freeMap(map);
        },
      ];
      for (const step of ownersFirst ? free : free.reverse()) step();
      expect(kernel.arena.used).toBe(used);
    }
  });

  test("L3, L4: an owner and a map that go while a program runs: its value stays until the program ends, and goes once", () => {
    const { kernel, sockets, skeleton, system } = stage("6.12", engine);
    const sock = sockets.socket();
    const map = kernel.runtime.createMap(skeleton.map("sockets").desc);
    const { used } = kernel.arena;
    expect(system.update(map, sockets.open(sock), words(6, 0))).toBe(0);
    kernel.runtime.rcu.lock(() => {
      const value = system.valueAt(map, sockets.open(sock));
      sockets.close(sock);
      kernel.runtime.freeMap(map);
      expect(kernel.arena.u32(value)).toBe(6);
      expect(kernel.arena.used).toBeGreaterThan(used);
    });
    expect(kernel.runtime.rcu.pending).toBe(0);
    expect(kernel.arena.used).toBeLessThan(used);
  });
});

describe("owners of generation 6.1", () => {
  test("cgroups have no storage there", () => {
    const kernel = ownKernel("6.1");
    const desc = { type: 32, keySize: 4, valueSize: 8, maxEntries: 0, flags: 1, name: "cgroups" };
    expect(() => kernel.runtime.createMap(desc)).toThrow(/EINVAL/);
  });

  test("descriptors of strangers: EBADF, and ENOTSOCK where a socket is wanted", () => {
    const kernel = ownKernel("6.1");
    const [files, system] = [new ReferenceFiles(kernel), new SystemSide(kernel)];
    const fd = files.open(files.makeInode());
    const map = (type: number) =>
      kernel.runtime.createMap({ type, keySize: 4, valueSize: 8, maxEntries: 0, flags: 1, name: "strange" });
    expect([29, 24].map((type) => system.lookup(map(type), fd))).toEqual([-ERRNO.EBADF, -ERRNO.ENOTSOCK]);
    expect(system.lookup(map(28), 99)).toBe(-ERRNO.EBADF);
  });
});
