import { expect, test } from "vitest";
import { ProgArray } from "../../src/engine/engine.js";
import { MAP } from "../../src/maps/layout.js";

test("a map of programs is what tail calls take it for", () => {
  expect(ProgArray).toEqual({ maxEntries: MAP.maxEntries, slots: MAP.own });
});
