import { describe, expect, it } from "vitest";
import { doors } from "../src/doors/index.js";

/** Cases of each door in a short round. How long turns take is for the long ones: a test assumes no quick host. */
const CASES = 25;

describe.each(doors)("$name", ({ name, check }) => {
  it("a short round holds", async () => {
    for (let seed = 0; seed < CASES; seed++) {
      const outcome = await Promise.resolve(check(seed, () => undefined)).then(
        () => "held",
        (error: unknown) => error,
      );
      expect(outcome, `npm run fuzz -- --door ${name} --seed ${seed} --cases 1`).toBe("held");
    }
  });
});
