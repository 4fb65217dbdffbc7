/** What becomes of namespaces besides what tasks see: references, pages, inodes, snapshots. */
import { expect, test } from "vitest";
import { Inodes, TimeNamespaces, VdsoError, VVAR_ABIS } from "../src/index.js";
import { ALL, HostCred, HostUserNs } from "./reference-cred.js";
import { answer, Host } from "./reference-host.js";

test("a namespace goes with the last task and descriptor that refers to it, its page and inode with it", () => {
  const host = new Host();
  const task = host.init.fork();
  task.unshare();
  const { inode } = task.forChildren;
  const descriptor = task.forChildren.get();
  const child = task.fork();
  expect(task.forChildren.refs).toBe(4);
  child.exit();
  task.exit();
  expect(host.namespacePages.size).toBe(1);
  descriptor.put();
  expect(host.namespacePages.size).toBe(0);
  const next = host.init.fork();
  next.unshare();
  expect(next.forChildren.inode).toBe(inode);
  expect(host.namespaces.root.refs).toBe(1 + 2 + 1);
});

test.each([
  ["fork", (host: Host): void => host.init.fork().exit()],
  ["clone3 with a new one", (host: Host): void => host.init.clone(0x80).exit()],
  [
    "unshare, vfork, execve",
    (host: Host): void => {
      const task = host.init.fork();
      task.unshare();
      task.unshare();
      const child = task.vfork();
      child.execve();
      child.exit();
      task.exit();
    },
  ],
  [
    "setns there and back",
    (host: Host): void => {
      const [task, other] = [host.init.fork(), host.init.clone(0x80)];
      task.setns(other.time);
      task.setns(host.namespaces.root);
      task.setnsPidfd(other);
      other.exit();
      task.exit();
    },
  ],
])("no reference is left behind by %s", (_, run) => {
  const host = new Host();
  const before = host.namespaces.root.refs;
  run(host);
  expect(host.namespaces.root.refs).toBe(before);
  expect(host.namespacePages.size).toBe(0);
});

test("a call that fails leaves no reference, page or count", () => {
  const host = new Host();
  const task = host.init.fork();
  host.user.maxTimeNamespaces = 1;
  task.unshare();
  const { forChildren } = task;
  for (let k = 0; k < 3; k++) expect(answer(() => task.unshare())).toBe("ENOSPC");
  expect([task.forChildren, forChildren.refs, host.namespacePages.size]).toEqual([forChildren, 1, 1]);
  task.exit();
  expect(answer(() => host.init.unshare())).toBe("ok");
});

test("those of a user namespace count for whoever made it, and only if there is room all the way up", () => {
  const host = new Host();
  const below = new HostUserNs(host.user, 1000);
  const create = (userNs: HostUserNs, uid: number): string =>
    answer(() => host.namespaces.create(userNs, uid, host.namespaces.root));
  host.user.maxTimeNamespaces = 1;
  below.maxTimeNamespaces = 1;
  expect([create(host.user, 1000), create(below, 5)]).toEqual(["ok", "ENOSPC"]);
  // What failed above has not been counted below.
  host.user.maxTimeNamespaces = 2;
  expect([create(below, 5), create(below, 5)]).toEqual(["ok", "ENOSPC"]);
  expect([create(host.user, 5), create(host.user, 1000)]).toEqual(["ok", "ENOSPC"]);
});

test("without a page: ENOMEM, and nothing has been counted", () => {
  const host = new Host();
  host.user.maxTimeNamespaces = 1;
  let pages = 0;
  const { user } = host;
  const namespaces = new TimeNamespaces({
    abi: VVAR_ABIS["linux-6.18"],
    userNs: user,
    clocks: { monotonic: () => 0n, boottime: () => 0n },
    allocPage: () => (pages++ === 0 ? null : { pfn: 1, store: { u32: () => {}, u64: () => {} }, free: () => {} }),
  });
  expect(answer(() => namespaces.create(user, 0, namespaces.root))).toBe("ENOMEM");
  expect(answer(() => namespaces.create(user, 0, namespaces.root))).toBe("ok");
});

test("the page is filled once, when the first task comes in", () => {
  const host = new Host();
  const task = host.init.fork();
  task.unshare();
  const page = host.frame(task.forChildren.page?.pfn ?? 0);
  task.write("monotonic 5 6\n");
  expect(page.every((byte) => byte === 0)).toBe(true);
  task.fork();
  const filled = page.slice();
  expect(filled.some((byte) => byte !== 0)).toBe(true);
  page.fill(0);
  task.fork();
  expect(page.every((byte) => byte === 0)).toBe(true);
});

test("what is saved comes back: inode, offsets, whether they are final, the page, and whom it counts for", () => {
  const host = new Host();
  const task = host.init.fork();
  task.unshare();
  task.write("monotonic 5 6\nboottime 7 8\n");
  const open = task.forChildren.save();
  task.fork();
  const final = task.forChildren.save();
  const restored = new Host();
  restored.user.maxTimeNamespaces = 1;
  const namespace = restored.namespaces.restore(restored.user, final);
  expect(namespace.save()).toEqual(final);
  expect(restored.frame(namespace.page?.pfn ?? 0)).toEqual(host.frame(task.forChildren.page?.pfn ?? 0));
  expect(answer(() => restored.namespaces.restore(restored.user, { ...open, inode: open.inode + 1 }))).toBe("ENOSPC");
  expect(() => restored.namespaces.restore(restored.user, open)).toThrow(VdsoError);
  namespace.put();
  const again = restored.namespaces.restore(restored.user, open);
  expect(again.frozen).toBe(false);
  again.setOffsets(new HostCred(restored.user, 0, ALL), []);
});

test("inode numbers are the lowest that are free", () => {
  const inodes = new Inodes();
  const [a, b, c] = [inodes.alloc(), inodes.alloc(), inodes.alloc()];
  expect([a, b, c]).toEqual([0xf000_0000, 0xf000_0001, 0xf000_0002]);
  inodes.free(c);
  inodes.free(a);
  inodes.take(0xf000_0004);
  expect([inodes.alloc(), inodes.alloc(), inodes.alloc(), inodes.alloc()]).toEqual([a, c, 0xf000_0003, 0xf000_0005]);
  expect(() => inodes.take(b)).toThrow(VdsoError);
  expect(() => inodes.take(5)).toThrow("inode 5");
});
