import { expect, test } from "vitest";
import { MapType } from "../../src/index.js";
import { describeGenerations } from "./generations.js";
import { Skeleton } from "./skeleton.js";
import { SystemSide, words } from "./system-side.js";

/** The kernel's map_tests/task_storage_map.c with its program, which reads how often its CPU is inside of the storage of tasks. */

const SELF = 100;
const LOOKUPS = 1000;

describeGenerations("task_storage_map", ({ object, boot }) => {
  test("stress_lookup: nobody is inside when all have looked", () => {
    const kernel = boot({ CONFIG_PREEMPT: "y" });
    const system = new SystemSide(kernel);
    const skeleton = new Skeleton(kernel, object("read_bpf_task_storage_busy"));
    const task = kernel.fork(SELF);
    kernel.run(task);
    const fd = kernel.open("tasks", task);
    expect(system.update(skeleton.map("task"), fd, words(1, 0))).toBe(0);
    for (let k = 0; k < LOOKUPS; k++) system.lookup(skeleton.map("task"), fd);
    skeleton.set("pid", SELF);
    skeleton.set("busy", -1);
    skeleton.attach();
    kernel.systemCall();
    expect(skeleton.get("busy"), "bad bpf_task_storage_busy").toBe(0);
    // Whereas in the middle of a lookup somebody is.
    kernel.runtime.storages.get(MapType.TaskStorage)?.helpers.within(() => kernel.systemCall());
    expect(skeleton.get("busy")).toBe(1);
    expect(skeleton.sound).toBe(true);
    skeleton.destroy();
  });
});
