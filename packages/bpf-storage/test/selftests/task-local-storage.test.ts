import { expect, test } from "vitest";
import type { Generation } from "../../src/index.js";
import { describeGenerations } from "./generations.js";
import { Asserts, Skeleton } from "./skeleton.js";
import { Scratch, SystemSide } from "./system-side.js";

/** The kernel's selftest task_local_storage (prog_tests/task_local_storage.c): 5 + 4 + 2 asserts in 6.1, 5 + 6 + 12 + 3 in 6.12. */

const SELF = 100;
const SYNC_MOST = 1000;

/** The only variable of its configuration. */
const preempts = (skeleton: Skeleton): number => {
  const { arena } = skeleton.kernel;
  return Scratch.of(arena, [0, 0, 0, 0], (key) => arena.read(skeleton.map(".kconfig").lookup(key), 1)[0] ?? -1);
};

describeGenerations("task_local_storage", ({ generation, object, boot }) => {
  /** The asserts of a subtest, and how many the kernel's own has. */
  const subtest = (name: string, counts: Readonly<Record<Generation, number>>, run: (asserts: Asserts) => void): void =>
    test(name, () => {
      const asserts = new Asserts();
      run(asserts);
      expect(asserts.count).toBe(counts[generation]);
    });

  subtest("sys_enter_exit", { "6.1": 5, "6.12": 5 }, (asserts) => {
    const kernel = boot();
    kernel.run(kernel.fork(SELF));
    const skeleton = new Skeleton(kernel, object("task_local_storage"));
    asserts.ok(skeleton, "skel_open_and_load");
    skeleton.set("target_pid", SELF);
    skeleton.attach();
    asserts.ok(skeleton, "skel_attach");
    // Of the two calls that attach, both programs see one.
    for (let calls = 0; calls < 2; calls++) kernel.systemCall();
    asserts.equal(skeleton.get("enter_cnt"), 3, "enter_cnt");
    asserts.equal(skeleton.get("exit_cnt"), 3, "exit_cnt");
    asserts.equal(skeleton.get("mismatch_cnt"), 0, "mismatch_cnt");
    expect(skeleton.sound).toBe(true);
    skeleton.destroy();
  });

  subtest("exit_creds", { "6.1": 4, "6.12": 6 }, (asserts) => {
    const kernel = boot();
    const skeleton = new Skeleton(kernel, object("task_local_storage_exit_creds"));
    asserts.ok(skeleton, "skel_open_and_load");
    skeleton.attach();
    asserts.ok(skeleton, "skel_attach");
    let rounds = 0;
    kernel.putTask(kernel.fork(SELF));
    if (generation === "6.12") {
      while (skeleton.get("run_count") === 0 && ++rounds < SYNC_MOST) kernel.putTask(kernel.fork(SELF + rounds));
      asserts.differs(rounds, SYNC_MOST, "sync_rcu count too high");
      asserts.differs(skeleton.get("run_count"), 0, "run_count");
    }
    asserts.equal(skeleton.get("valid_ptr_count"), 0, "valid_ptr_count");
    asserts.differs(skeleton.get("null_ptr_count"), 0, "null_ptr_count");
    expect(skeleton.sound).toBe(true);
    skeleton.destroy();
  });

  subtest("recursion", { "6.1": 2, "6.12": 12 }, (asserts) => {
    const kernel = boot();
    const system = new SystemSide(kernel);
    const task = kernel.fork(SELF);
    kernel.run(task);
    const fd = kernel.open("tasks", task);
    if (generation === "6.12") asserts.differs(fd, -1, "sys_pidfd_open");
    const skeleton = new Skeleton(kernel, object("task_ls_recursion"));
    asserts.ok(skeleton, "skel_open_and_load");
    skeleton.attach();
    asserts.ok(skeleton, "skel_attach");
    if (generation === "6.1") {
      // It is enough that this ends.
      kernel.systemCall();
    } else {
      skeleton.set("test_pid", SELF);
      kernel.systemCall();
      skeleton.set("test_pid", 0);
      skeleton.detach();
      const [a, b] = ["map_a", "map_b"].map((name) => system.lookup(skeleton.map(name), fd));
      asserts.ok(a, "lookup map_a");
      asserts.equal(a, Uint32Array.of(201, 0), "map_a value");
      asserts.equal(skeleton.get("nr_del_errs"), 1, "bpf_task_storage_delete busy");
      asserts.ok(b, "lookup map_b");
      asserts.equal(b, Uint32Array.of(100, 0), "map_b value");
      for (const name of ["on_update", "on_enter"]) {
        asserts.ok(skeleton.program(name), "get prog info");
        asserts.equal(skeleton.program(name).misses, 0, `${name} prog recursion`);
      }
    }
    expect(kernel.busy).toBe(0);
    expect(skeleton.sound).toBe(true);
    skeleton.destroy();
  });

  if (generation === "6.12") {
    subtest("nodeadlock is skipped without CONFIG_PREEMPT, as in Debian", { "6.1": 0, "6.12": 3 }, (asserts) => {
      const kernel = boot();
      for (const label of ["getaffinity", "setaffinity"]) asserts.ok(kernel, label);
      // None is run.
      const skeleton = new Skeleton(kernel, object("task_storage_nodeadlock"));
      asserts.ok(skeleton, "open_and_load");
      expect(preempts(skeleton)).toBe(0);
      skeleton.destroy();
    });

    test("nodeadlock of a kernel that preempts: 32 threads make sockets, each inside the program of another", () => {
      const kernel = boot({ CONFIG_PREEMPT: "y" });
      const skeleton = new Skeleton(kernel, object("task_storage_nodeadlock"));
      expect(preempts(skeleton)).toBe(1);
      skeleton.attach();
      const threads = Array.from({ length: 32 }, (_, k) => kernel.fork(SELF + k));
      const create = (thread: number | undefined): void => {
        if (thread === undefined) return;
        const before = kernel.running;
        kernel.run(thread);
        kernel.fire("lsm/socket_post_create", [0n, 10n, 1n, 0n, 0n]);
        kernel.run(before);
      };
      // The program is preempted while it is inside of the storage, and another thread of the CPU runs it.
      kernel.runtime.entered = (name) => {
        if (name === "bpf_local_storage_update") create(threads.pop());
      };
      create(threads.pop());
      kernel.runtime.entered = null;
      expect(skeleton.program("socket_post_create").runs).toBe(32);
      expect(skeleton.program("socket_post_create").misses, "prog recursion").toBe(0);
      expect(skeleton.get("nr_get_errs"), "bpf_task_storage_get busy").toBe(0);
      expect(skeleton.get("nr_del_errs"), "bpf_task_storage_delete busy").toBe(0);
      expect(skeleton.sound).toBe(true);
      skeleton.destroy();
    });
  }
});
