import { expect, it } from "vitest";
import { DIALECTS, type DialectName } from "../src/index.js";
import { fuzz } from "./fuzz.js";

/** KVMI_FUZZ=1000000 for the long run. */
const COUNT = Number(process.env.KVMI_FUZZ ?? 10_000);

it.each(Object.keys(DIALECTS) as DialectName[])(
  "whatever a tool sends, and wherever it dies, nothing is left behind (%s)",
  async (dialect) => {
    const { connections, replies } = await fuzz(dialect, Number(process.env.KVMI_SEED ?? 1), COUNT);
    expect(connections).toBeGreaterThan(10);
    expect(replies).toBeGreaterThan(COUNT / 20);
  },
  3_600_000,
);
