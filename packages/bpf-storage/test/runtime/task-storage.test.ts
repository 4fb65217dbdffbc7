import { describe, expect, test } from "vitest";
import { ERRNO } from "../../src/index.js";
import { LittleKernel, Variable } from "./little-kernel.js";

/** What the kernel's selftest task_local_storage asserts, by programs of our own (tools/testing/selftests/bpf/prog_tests/task_local_storage.c). */

const variables = (kernel: LittleKernel, loaded: ReturnType<LittleKernel["attach"]>) => (name: string) =>
  new Variable(kernel, loaded, name);

describe.each(["jit", "interpreter"] as const)("task_local_storage, %s", (engine) => {
  test("sys_enter_exit: three calls, three ends, no mismatch", () => {
    const kernel = new LittleKernel({ engine });
    kernel.fork(7);
    kernel.fork(8);
    const variable = variables(kernel, kernel.attach("enter-exit"));
    variable("watched").value = 7;
    for (const pid of [7, 8, 7, 7, 8]) kernel.systemCall(pid);
    expect(["enters", "exits", "mismatches"].map((name) => variable(name).value)).toEqual([3, 3, 0]);
  });

  test("exit_creds: a task that is freed gets no storage, even if asked to", () => {
    const kernel = new LittleKernel({ engine });
    const loaded = kernel.attach("task-free");
    const variable = variables(kernel, loaded);
    for (const pid of [7, 8]) kernel.fork(pid);
    for (const pid of [7, 8]) kernel.exit(pid);
    expect(["runs", "found", "missing"].map((name) => variable(name).value)).toEqual([2, 0, 2]);
    expect(kernel.number(loaded.maps.get("numbers"), 7)).toBe(-ERRNO.EBADF);
  });

  test("recursion, 6.12: 201, 100, one delete that is busy, and no program missed", () => {
    const kernel = new LittleKernel({ engine });
    kernel.fork(7);
    const loaded = kernel.attach("recursion");
    const variable = variables(kernel, loaded);
    variable("watched").value = 7;
    kernel.systemCall(7);
    variable("watched").value = 0;
    expect([loaded.maps.get("first"), loaded.maps.get("second")].map((map) => kernel.number(map, 7))).toEqual([
      201, 100,
    ]);
    expect(variable("busy_deletes").value).toBe(1);
    expect(loaded.programs.map(({ program }) => program.misses)).toEqual([0, 0]);
  });

  test("recursion, 6.1: who is inside gets nothing, and nothing hangs", () => {
    const kernel = new LittleKernel({ engine, generation: "6.1" });
    kernel.fork(7);
    const loaded = kernel.attach("recursion");
    const variable = variables(kernel, loaded);
    variable("watched").value = 7;
    kernel.systemCall(7);
    variable("watched").value = 0;
    expect([loaded.maps.get("first"), loaded.maps.get("second")].map((map) => kernel.number(map, 7))).toEqual([
      200, 100,
    ]);
    expect(variable("busy_deletes").value).toBe(0);
  });

  test("memory is what it was when tasks and maps are gone", () => {
    const kernel = new LittleKernel({ engine });
    const loaded = kernel.attach("enter-exit");
    const variable = variables(kernel, loaded);
    kernel.fork(7);
    kernel.systemCall(7);
    kernel.exit(7);
    const { used } = kernel.arena;
    for (let pid = 1; pid < 200; pid++) {
      kernel.fork(pid);
      variable("watched").value = pid;
      kernel.systemCall(pid);
      kernel.exit(pid);
    }
    expect(kernel.arena.used).toBe(used);
  });
});
