import fc from "fast-check";
import { expect, it } from "vitest";
import { AccessLock } from "../../src/disk/access-lock.js";

it("many share, one is alone, everybody has a turn, and those who fail let go", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ alone: fc.boolean(), steps: fc.nat(5), fails: fc.boolean() })),
      async (users) => {
        const lock = new AccessLock();
        let [sharers, alone, ended] = [0, 0, 0];
        const use = async ({ alone: own, steps, fails }: (typeof users)[number]): Promise<void> => {
          if (own) alone++;
          else sharers++;
          for (let k = 0; k <= steps; k++) {
            expect(alone === 0 || (alone === 1 && sharers === 0)).toBe(true);
            await Promise.resolve();
          }
          if (own) alone--;
          else sharers--;
          ended++;
          if (fails) throw new Error("failed");
        };
        const all = users.map((user) => (user.alone ? lock.exclusive(() => use(user)) : lock.shared(() => use(user))));
        const outcomes = await Promise.allSettled(all);
        expect(ended).toBe(users.length);
        expect(outcomes.map(({ status }) => status === "rejected")).toEqual(users.map(({ fails }) => fails));
      },
    ),
  );
});
