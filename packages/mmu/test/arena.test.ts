import { expect, test } from "vitest";
import { ArenaError, FrameArena } from "../src/arena.js";
import { newMemory, PAGE } from "./fixture.js";

test("frames are taken inside the range only, each once, and are zero", () => {
  const arena = new FrameArena(newMemory(16), 2 * PAGE, 6 * PAGE);
  arena.reserve(4);
  const frames = [arena.take(), arena.take(), arena.take(), arena.take()];
  expect([...frames].sort((a, b) => a - b)).toEqual([2, 3, 4, 5]);
  expect(arena.taken).toBe(4);
});

test("a frame that was given back is zero when it is taken again", () => {
  const arena = new FrameArena(newMemory(16), PAGE, 2 * PAGE);
  arena.reserve(1);
  const first = arena.take();
  arena.u8.fill(0xaa, first * PAGE, (first + 1) * PAGE);
  arena.give(first);
  expect(arena.taken).toBe(0);
  const again = arena.take();
  expect(again).toBe(first);
  expect(arena.u8.subarray(again * PAGE, (again + 1) * PAGE).every((byte) => byte === 0)).toBe(true);
});

test("no more frames can be reserved than the range holds, nor taken than were reserved", () => {
  const arena = new FrameArena(newMemory(16), PAGE, 5 * PAGE);
  expect(() => arena.reserve(5)).toThrow(expect.objectContaining({ code: "exhausted" }));
  arena.reserve(3);
  expect(arena.available).toBe(1);
  expect(() => arena.reserve(2)).toThrow("2 frames asked for, 1 of 4 available");
  arena.unreserve(2);
  arena.take();
  expect(() => arena.take()).toThrow(expect.objectContaining({ code: "unreserved" }));
});

test.each([
  ["starts at 0, which means no frame", 0, 4 * PAGE],
  ["starts inside a page", PAGE + 1, 4 * PAGE],
  ["ends inside a page", PAGE, 4 * PAGE - 1],
  ["ends before it starts", 4 * PAGE, 2 * PAGE],
  ["ends after the memory", PAGE, 17 * PAGE],
])("a range that %s is refused", (_, start, end) => {
  expect(() => new FrameArena(newMemory(16), start, end)).toThrow(ArenaError);
});
