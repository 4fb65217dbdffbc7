import { expect, test } from "vitest";
import type { ObjectProgram } from "../../src/index.js";
import { describeGenerations } from "./generations.js";
import { pointer } from "./layout.js";
import { HIERARCHY, type ReferenceKernel } from "./reference-kernel.js";
import { ReferenceSockets } from "./reference-sockets.js";
import { Asserts, Skeleton } from "./skeleton.js";
import { SystemSide, words } from "./system-side.js";

/** The kernel's selftest cgrp_local_storage (prog_tests/cgrp_local_storage.c), which 6.1 does not have: cgroups of version 2, and of version 1. */

const [SELF, CGROUP2, CGROUP1] = [100, 4321, 1234];
const only =
  (name: string) =>
  (program: ObjectProgram): boolean =>
    program.name === name;

interface Stage {
  readonly kernel: ReferenceKernel;
  readonly cgroup: number;
  readonly fd: number;
  readonly id: number;
  readonly asserts: Asserts;
  /** An object that is told which hierarchy it is about. */
  readonly load: (name: string, program?: string) => Skeleton;
}

describeGenerations(
  "cgrp_local_storage",
  ({ object, boot }) => {
    const stage = (version: 1 | 2): Stage => {
      const kernel = boot();
      const [one, two] = [kernel.makeCgroup(CGROUP1), kernel.makeCgroup(CGROUP2)];
      const task = kernel.fork(SELF, { cgroup: two });
      kernel.join(task, one);
      kernel.run(task);
      const cgroup = version === 1 ? one : two;
      const load = (name: string, program?: string): Skeleton => {
        const desc = program === undefined ? {} : { choose: only(program) };
        const skeleton = new Skeleton(kernel, object(name), desc);
        skeleton.set("is_cgroup1", version === 1 ? 1 : 0);
        skeleton.set("target_hid", version === 1 ? HIERARCHY : -1);
        return skeleton;
      };
      const id = version === 1 ? CGROUP1 : CGROUP2;
      return { kernel, cgroup, fd: kernel.open("cgroups", cgroup), id, asserts: new Asserts(), load };
    };

    const ended = ({ kernel, asserts }: Stage, skeleton: Skeleton, count: number): void => {
      expect(skeleton.sound).toBe(true);
      expect(kernel.heldCgroups).toBe(0);
      skeleton.destroy();
      expect(asserts.count).toBe(count);
    };

    for (const version of [2, 1] as const) {
      const prefix = version === 1 ? "cgrp1_" : "";

      test(`${prefix}tp_btf`, () => {
        const at = stage(version);
        const { kernel, fd, asserts, load } = at;
        const system = new SystemSide(kernel);
        const skeleton = load("cgrp_ls_tp_btf");
        asserts.ok(skeleton, "skel_open_and_load");
        const map = skeleton.map("map_b");
        asserts.ok(system.update(map, fd, words(1, 0)), "map_update_elem");
        asserts.ok(system.lookup(map, fd), "map_lookup_elem");
        asserts.equal(system.lookup(map, fd), Uint32Array.of(1, 0), "map_lookup_elem, invalid val");
        asserts.ok(system.delete(map, fd), "map_delete_elem");
        skeleton.set("target_pid", SELF);
        skeleton.attach();
        asserts.ok(skeleton, "skel_attach");
        // Of the two calls that attach, both programs see one.
        for (let calls = 0; calls < 2; calls++) kernel.systemCall();
        skeleton.set("target_pid", 0);
        asserts.equal(skeleton.get("enter_cnt"), 3, "enter_cnt");
        asserts.equal(skeleton.get("exit_cnt"), 3, "exit_cnt");
        asserts.equal(skeleton.get("mismatch_cnt"), 0, "mismatch_cnt");
        ended(at, skeleton, 9);
      });

      test(`${prefix}recursion`, () => {
        const at = stage(version);
        const skeleton = at.load("cgrp_ls_recursion");
        at.asserts.ok(skeleton, "skel_open_and_load");
        skeleton.attach();
        at.asserts.ok(skeleton, "skel_attach");
        // It is enough that this ends; both programs have run.
        at.kernel.systemCall();
        for (const name of ["on_enter", "on_update"]) expect(skeleton.program(name).runs).toBeGreaterThan(0);
        ended(at, skeleton, 2);
      });

      test(`${prefix}negative: a task is no cgroup`, () => {
        const { asserts, kernel } = stage(version);
        const reason = /R2 is of type task_struct but cgroup is expected/;
        asserts.fails(() => new Skeleton(kernel, object("cgrp_ls_negative")), reason, "skel_open_and_load");
      });

      test(`${prefix}iter_sleepable`, () => {
        const at = stage(version);
        const { kernel, asserts, cgroup, id } = at;
        const skeleton = at.load("cgrp_ls_sleepable", "cgroup_iter");
        asserts.ok(skeleton, "skel_open");
        asserts.ok(skeleton, "skel_load");
        skeleton.attach();
        asserts.ok(skeleton, "attach_iter");
        // struct bpf_iter__cgroup: what all iterators are told, and the cgroup; at the end none.
        for (const next of [cgroup, 0]) kernel.fire("iter/cgroup", [0n, pointer(next)]);
        asserts.atLeast(skeleton.program("cgroup_iter").runs, 2, "iter_create");
        asserts.equal(skeleton.get("cgroup_id"), id, "cgroup_id");
        ended(at, skeleton, 5);
      });

      test(`${prefix}yes_rcu_lock`, () => {
        const at = stage(version);
        const { kernel, asserts, id } = at;
        const skeleton = at.load("cgrp_ls_sleepable", "yes_rcu_lock");
        asserts.ok(skeleton, "skel_open");
        asserts.ok(skeleton, "skel_load");
        skeleton.set("target_pid", SELF);
        skeleton.attach();
        asserts.ok(skeleton, "skel_attach");
        kernel.fire("fentry/__x64_sys_getpgid", [0n]);
        asserts.equal(skeleton.get("cgroup_id"), id, "cgroup_id");
        ended(at, skeleton, 4);
      });
    }

    test("no_rcu_lock: the cgroup of a task is not to be trusted by who sleeps", () => {
      const { asserts, load } = stage(2);
      const reason = /R2 type=untrusted_ptr_ expected=ptr_, trusted_ptr_, rcu_ptr_/;
      asserts.fails(() => load("cgrp_ls_sleepable", "no_rcu_lock"), reason, "skel_load");
    });

    test("cgrp1_no_rcu_lock: a reference to a cgroup is", () => {
      const at = stage(1);
      const skeleton = at.load("cgrp_ls_sleepable", "cgrp1_no_rcu_lock");
      at.asserts.ok(skeleton, "skel_open");
      at.asserts.ok(skeleton, "skel_load");
      skeleton.set("target_pid", SELF);
      skeleton.attach();
      at.kernel.fire("fentry/__x64_sys_getpgid", [0n]);
      expect(skeleton.get("cgroup_id")).toBe(CGROUP1);
      ended(at, skeleton, 2);
    });

    test("attach_cgroup: a cookie of a socket that its cgroup keeps", () => {
      const { kernel, cgroup, fd, asserts } = stage(2);
      const [sockets, system] = [new ReferenceSockets(kernel), new SystemSide(kernel)];
      const skeleton = new Skeleton(kernel, object("cgrp_ls_attach_cgroup"));
      asserts.ok(skeleton, "skel_open");
      skeleton.attach();
      for (const name of ["set_cookie", "update_cookie_sockops", "update_cookie_tracing"])
        asserts.ok(skeleton.program(name), "prog_attach");
      const listening = sockets.startServer(cgroup);
      asserts.atLeast(sockets.open(listening), 0, "start_server");
      const { active } = sockets.connect(listening, cgroup);
      asserts.atLeast(sockets.open(active), 0, "connect_to_fd");
      const found = system.lookup(skeleton.map("socket_cookies"), fd);
      asserts.ok(found, "map_lookup(socket_cookies)");
      const port = sockets.port(active);
      asserts.atLeast(port, 1, "getsockname");
      const value = typeof found === "number" ? 0 : found[2];
      asserts.equal(value, (port << 8) | 0xff, "cookie_value");
      expect(skeleton.sound).toBe(true);
      expect(asserts.count).toBe(9);
    });
  },
  ["6.12"],
);
