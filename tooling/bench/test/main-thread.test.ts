import { expect, it } from "vitest";
import { mainThread, type TraceEvent } from "../src/main-thread.js";

const PAGE = { pid: 7, tid: 1 };
const PHASES = [
  { name: "load", from: null, to: "running" },
  { name: "boot", from: "running", to: "prompt" },
];

const mark = (name: string, ms: number): TraceEvent => ({ name, ph: "I", ts: ms * 1000, ...PAGE });
const lasting = (name: string, ms: number, dur: number, tdur: number): TraceEvent => ({
  ...{ name, ph: "X", ts: ms * 1000, dur: dur * 1000, tdur: tdur * 1000 },
  ...PAGE,
});
const task = (ms: number, dur: number, tdur: number) => lasting("ThreadControllerImpl::RunTask", ms, dur, tdur);

/** Events come in any order, as in a trace. */
const TRACE: readonly TraceEvent[] = [
  mark("prompt", 200),
  mark("running", 100),
  task(120, 30, 12),
  lasting("FireAnimationFrame", 121, 20, 6),
  lasting("Layout", 125, 4, 2),
  lasting("Layout", 142, 5, 3),
  task(160, 15, 15),
  task(10, 90, 50),
  { ...task(130, 500, 500), tid: 2 },
  { ...task(130, 500, 500), pid: 8 },
];

it("takes tasks of the thread that made the marks, each to the phase it begins in", () => {
  const [load, boot] = mainThread(TRACE, PHASES);
  expect(load).toMatchObject({ name: "load", seconds: 0.09, tasks: 1, cpuSeconds: 0.05, wall: { ms: 90, over: 1 } });
  expect(boot).toMatchObject({
    name: "boot",
    seconds: 0.1,
    tasks: 2,
    wall: { ms: 30, over: 1 },
    cpu: { ms: 15, over: 0 },
  });
});

it("says what the longest consists of, by either clock, nothing twice", () => {
  const [, boot] = mainThread(TRACE, PHASES);
  expect(boot?.wall.parts).toEqual({ FireAnimationFrame: 20, Layout: 5, other: 5 });
  expect(boot?.cpu.parts).toEqual({ other: 15 });
});

it("counts a task that runs others, as a dialogue does, once", () => {
  const [, boot] = mainThread([mark("running", 0), mark("prompt", 100), task(10, 40, 20), task(20, 10, 5)], PHASES);
  expect(boot).toMatchObject({ tasks: 1, cpuSeconds: 0.02 });
});

it("has no thread compute for longer than it took", () => {
  const [, boot] = mainThread([mark("running", 0), mark("prompt", 100), task(10, 5, 15)], PHASES);
  expect(boot?.cpu).toMatchObject({ ms: 5, over: 0 });
});

it("leaves out a phase that was not reached, and tells of one without tasks", () => {
  expect(mainThread([mark("running", 100), task(10, 1, 1)], PHASES)).toEqual([]);
  expect(mainThread([mark("running", 100), mark("prompt", 200)], PHASES)).toMatchObject([
    { name: "boot", tasks: 0, wall: { ms: 0, over: 0, parts: {} } },
  ]);
});
