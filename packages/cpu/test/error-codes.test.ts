import { expect, test } from "vitest";
import { DELIVERY_ROWS } from "./error-codes-delivery.rows.js";
import { SEGMENT_ROWS } from "./error-codes-segments.rows.js";
import { SYSTEM_ROWS } from "./error-codes-system.rows.js";

const ROWS = [...SEGMENT_ROWS, ...DELIVERY_ROWS, ...SYSTEM_ROWS];

test.each(ROWS)("$name: $event ($source)", ({ event, play }) => {
  expect(play().at(-1)).toBe(event);
});

test("there are more than 350 rows, no two of the same name", () => {
  expect(new Set(ROWS.map(({ name }) => name)).size).toBe(ROWS.length);
  expect(ROWS.length).toBeGreaterThan(350);
});
