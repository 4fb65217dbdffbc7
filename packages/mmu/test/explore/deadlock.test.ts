/**
 * All orders in which populate and a user fault on one guest_memfd can go on, with a third task that waits for mmap_lock exclusively: without one the two would
 * not hang, for readers of mmap_lock do not keep each other out.
 */
import { expect, test } from "vitest";
import { Host, PAGE } from "./host.js";
import { pageAddr } from "./model.js";
import { everySchedule, Scheduler } from "./scheduler.js";
import { mapMemory, populateFirst } from "./tasks.js";

/** @returns how many schedules there are, and what the wait-for graph says of each that hangs */
async function exhaust(gupInsideInvalidateLock: boolean, writer: boolean) {
  const hung: string[] = [];
  const schedules = await everySchedule(async (choose) => {
    const scheduler = new Scheduler();
    const host = new Host(
      { kind: "in place", mirror: false, inPlaceConversion: true, faults: { gupInsideInvalidateLock } },
      scheduler,
    );
    await host.prepare();
    const source = await host.mm.mmap(host.newTask("setup"), { length: PAGE });
    const populate = host.newTask("populate");
    const fault = host.newTask("fault");
    const mmap = host.newTask("mmap");
    const bodies = [
      () => populateFirst(host, populate, source),
      () => host.mm.store(fault, pageAddr(host, 3), Uint8Array.of(1)),
    ];
    if (writer) bodies.push(() => mapMemory({ host }, mmap));
    const left = await scheduler.run(bodies, choose, () => undefined);
    expect(left > 0).toBe(host.problems.length > 0);
    hung.push(...host.problems);
  });
  return { schedules, hung };
}

test("T4: with the old order some orders hang, and the wait-for graph names both tasks", async () => {
  const { schedules, hung } = await exhaust(true, true);
  expect(schedules).toBeGreaterThan(20);
  expect(hung.length).toBeGreaterThan(0);
  expect(hung.length).toBeLessThan(schedules);
  for (const text of hung) {
    expect(text).toMatch(/^DEADLOCK: 3 tasks/);
    expect(text).toContain(" populate/");
    expect(text).toContain(" fault/");
  }
});

test("T4: with the source page pinned before, all orders come to their end", async () => {
  const { schedules, hung } = await exhaust(false, true);
  expect(schedules).toBeGreaterThan(20);
  expect(hung).toEqual([]);
});

test("without a writer in between readers of mmap_lock pass each other, and even the old order does not hang", async () => {
  expect((await exhaust(true, false)).hung).toEqual([]);
});
