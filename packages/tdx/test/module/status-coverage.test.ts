import { describe, expect, it } from "vitest";
import { Status, statusName } from "../../src/module/status.js";
import { playAll } from "./scenarios.js";
import { UNREACHED } from "./unreached-statuses.js";

describe("completion statuses", () => {
  const reached = new Set<string>();
  playAll((status) => reached.add(statusName(status) ?? "?"));
  const excepted = UNREACHED.flatMap(([, names]) => names);

  it("are all reached, but those of which it is said why not", () => {
    const missing = Object.keys(Status).filter(
      (name) => !reached.has(name) && !excepted.includes(name as keyof typeof Status),
    );
    expect(missing).toEqual([]);
  });

  it("are not said to be out of reach when they are not", () => {
    expect(excepted.filter((name) => reached.has(name))).toEqual([]);
    expect(new Set(excepted).size).toBe(excepted.length);
  });
});
