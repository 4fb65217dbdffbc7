import { expect, test } from "vitest";
import { type BpfMap, ERRNO } from "../../src/index.js";
import { STORE } from "../../src/storage/layout.js";
import { describeGenerations } from "./generations.js";
import { ReferenceFiles } from "./reference-files.js";
import { ReferenceSockets } from "./reference-sockets.js";
import { Asserts, Skeleton } from "./skeleton.js";
import { SystemSide, words } from "./system-side.js";

/** The kernel's selftest test_local_storage (prog_tests/test_local_storage.c): 27 asserts in 6.1, 30 in 6.12. */

const [SELF, CHILD, MOVER] = [100, 101, 102];
const VALUE = 0xbeefdead;
const NOEXIST = 1n;
/** What rm exits with when it cannot remove. */
const FAILURE = 1;

/**
 * The socket of a `struct socket` may be NULL. The verifier of 6.12 knows, as ours does, and wants to see that looked at; that of 6.1 does not, nor do the
 * programs of 6.1 look.
 */
const MAY_BE_NULL = /R2 type=trusted_ptr_or_null_ expected=sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_/;
const REFUSED = {
  "6.1": { refused: { socket_bind: MAY_BE_NULL, socket_post_create: MAY_BE_NULL } },
  "6.12": {},
} as const;

describeGenerations("test_local_storage", ({ generation, object, boot }) => {
  test("values from outside, by programs of security, and their ends", () => {
    const asserts = new Asserts();
    const newer = generation === "6.12";
    const kernel = boot();
    const [files, sockets, system] = [new ReferenceFiles(kernel), new ReferenceSockets(kernel), new SystemSide(kernel)];
    const skeleton = new Skeleton(kernel, object("local_storage"), REFUSED[generation]);
    asserts.ok(skeleton, "skel_load");
    skeleton.attach();
    asserts.ok(skeleton, "attach");
    const self = kernel.fork(SELF);
    kernel.run(self);

    const fromOutside = (map: BpfMap, fd: number): void => {
      const numberIn = (found: Uint32Array | number): number => (typeof found === "number" ? found : (found[2] ?? 0));
      asserts.equal(system.lookup(map, fd), -ERRNO.ENOENT, "bpf_map_lookup_elem");
      asserts.ok(system.update(map, fd, words(0, 0, VALUE, 0), NOEXIST), "bpf_map_update_elem");
      asserts.ok(system.lookup(map, fd), "bpf_map_lookup_elem");
      asserts.equal(numberIn(system.lookup(map, fd)), VALUE, "bpf_map_lookup_elem");
      asserts.ok(system.delete(map, fd), "bpf_map_delete_elem()");
      asserts.equal(system.lookup(map, fd), -ERRNO.ENOENT, "bpf_map_lookup_elem");
    };

    const taskFd = kernel.open("tasks", self);
    asserts.atLeast(taskFd, 0, "pidfd_open");
    fromOutside(skeleton.map("task_storage_map"), taskFd);

    asserts.ok(files, "mkdtemp");
    const copyOfRm = files.makeInode();
    if (newer) asserts.ok(copyOfRm > 0 ? 0 : -1, "system(cp)");
    const rmFd = files.open(copyOfRm);
    asserts.atLeast(rmFd, 0, "open(tmp_exec_path)");
    fromOutside(skeleton.map("inode_storage_map"), rmFd);

    const child = kernel.fork(CHILD, { comm: "rm" });
    skeleton.set("monitored_pid", CHILD);
    files.execute(child, copyOfRm);
    const removed = files.unlink(copyOfRm);
    kernel.putTask(child);
    kernel.run(self);
    if (newer) asserts.equal(skeleton.get("task_storage_result"), 0, "task_storage_result");
    expect(removed).toBe(-ERRNO.EPERM);
    asserts.equal(removed === 0 ? 0 : FAILURE, ERRNO.EPERM, "run_self_unlink");

    skeleton.set("monitored_pid", SELF);
    const mover = kernel.fork(MOVER, { comm: "mv" });
    kernel.run(mover);
    const moved = files.rename(copyOfRm);
    kernel.putTask(mover);
    kernel.run(self);
    if (newer) asserts.ok(moved, "system(mv)");
    asserts.equal(skeleton.get("inode_storage_result"), 0, "inode_storage_result");

    const server = sockets.startServer();
    const serverFd = sockets.open(server);
    asserts.atLeast(serverFd, 0, "start_server");
    asserts.equal(skeleton.get("sk_storage_result"), 0, "sk_storage_result");
    fromOutside(skeleton.map("sk_storage_map"), serverFd);

    expect(skeleton.sound).toBe(true);
    expect(asserts.count).toBe(newer ? 30 : 27);
    sockets.close(server);
    files.freeInode(copyOfRm);
    skeleton.destroy();
  });

  test("a file that another executes may be removed, and one that is no program's", () => {
    const kernel = boot();
    const files = new ReferenceFiles(kernel);
    const skeleton = new Skeleton(kernel, object("local_storage"), REFUSED[generation]);
    skeleton.attach();
    const [child, binary, other] = [kernel.fork(CHILD), files.makeInode(), files.makeInode()];
    skeleton.set("monitored_pid", CHILD);
    files.execute(child, binary);
    expect(files.unlink(other)).toBe(0);
    kernel.run(kernel.fork(SELF));
    expect(files.unlink(binary)).toBe(0);
    skeleton.destroy();
  });

  if (generation === "6.12")
    test("storage has the map that it was made for where programs look for it", () => {
      const { objects } = boot();
      expect(objects.offset("bpf_local_storage.smap")).toBe(STORE.map);
    });
});
