import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import { ARRIVAL_ROWS } from "./arrival-order.rows.js";
import { DEBUG_ROWS } from "./debug-priority.rows.js";
import { TRAP_ROWS } from "./debug-traps.rows.js";
import { frame, RCX } from "./fake-machine.js";
import type { Chain } from "./priority-chain.js";
import { INSTRUCTION_CHAINS } from "./priority-instruction.rows.js";
import { SYSTEM_CHAINS } from "./priority-system.rows.js";
import { type Condition, HERE, Scene } from "./scene.js";

const CHAINS = [...INSTRUCTION_CHAINS, ...SYSTEM_CHAINS];

/** The first event; software interrupts are tries of their delivery. */
const play = ({ code, setup }: Chain, ...conditions: readonly Condition[]): string | undefined => {
  const s = new Scene(code);
  setup?.(s);
  for (const { apply } of conditions) apply(s);
  return s.play().find((event) => !event.startsWith("INT "));
};

/** Pairs that can be told from each other. */
const pairs = ({ conditions }: Chain): (readonly [Condition, Condition])[] =>
  conditions.flatMap((first, k) =>
    conditions
      .slice(k + 1)
      .filter(({ event }) => event !== first.event)
      .map((second) => [first, second] as const),
  );

/** Class 9 goes by its own order in the table: length, opcode, coprocessor. */
const sourceOf = ({ within }: Chain, first: Condition, second: Condition): string => {
  if (first.rank === second.rank) return first.rank === 9 ? "SDM vol. 3, table 6-2: class 9" : within;
  return `SDM vol. 3, table 6-2: class ${first.rank} before ${second.rank}`;
};

describe.each(CHAINS)("$name", (chain) => {
  test.each(chain.conditions)("$name alone: $event", (condition) => {
    const inherent = chain.conditions.find(({ apply }) => apply.length === 0);
    const wanted = inherent !== undefined && chain.conditions.indexOf(inherent) < chain.conditions.indexOf(condition);
    expect(play(chain, condition)).toBe(wanted ? inherent.event : condition.event);
  });

  test.each(pairs(chain).map(([first, second]) => ({ first, second, source: sourceOf(chain, first, second) })))(
    "$first.name before $second.name ($source)",
    ({ first, second }) => {
      expect(play(chain, first, second)).toBe(first.event);
    },
  );
});

test("the chains hold more than 200 pairs", () => {
  expect(CHAINS.flatMap(pairs).length).toBeGreaterThan(200);
});

describe("debug exceptions, shadows and what is not there", () => {
  test.each([...DEBUG_ROWS, ...TRAP_ROWS, ...ARRIVAL_ROWS])(
    "$name ($source)",
    ({ code, setup, events, ip, rf, rcx }) => {
      const s = new Scene(code);
      setup(s);
      expect(s.play()).toEqual(events);
      const { ip: pushed, flags } = frame(s.m, (events[0] as string).includes("("));
      if (ip !== undefined) expect(pushed - HERE).toBe(ip);
      if (rcx !== undefined) expect(s.m.vcpu.regLo(RCX)).toBe(rcx);
      if (rf !== undefined) expect((flags & S.RF) !== 0).toBe(rf);
    },
  );
});
