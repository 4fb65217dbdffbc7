import { describe, expect, it } from "vitest";
import { PlatformError } from "../../src/module/check-platform.js";
import { TdxModule } from "../../src/module/module.js";
import type { PlatformDesc } from "../../src/module/platform.js";
import { GIB, Host, PAGE } from "./host.js";

const { platform } = new Host();

describe("a platform that no TDX module could be loaded on", () => {
  it.each<[keyof PlatformDesc, Partial<PlatformDesc>]>([
    ["packages", { packages: 0 }],
    ["packages", { packages: 33 }],
    ["processors", { processors: [] }],
    ["processors", { processors: [{ package: 0 }] }],
    ["processors", { processors: [{ package: 0 }, { package: 2 }] }],
    ["privateHkids", { privateHkids: { first: 0, count: 4 } }],
    ["privateHkids", { privateHkids: { first: 4, count: 1 } }],
    ["maxPhysAddr", { maxPhysAddr: 53 }],
    ["secret", { secret: new Uint8Array(31) }],
    ["tscFrequency", { tscFrequency: Number.NaN }],
    ["cmrs", { cmrs: [{ base: 0, size: 0 }] }],
    ["cmrs", { cmrs: [{ base: 0, size: PAGE + 1 }] }],
    [
      "cmrs",
      {
        cmrs: [
          { base: GIB, size: PAGE },
          { base: 0, size: PAGE },
        ],
      },
    ],
    ["cmrs", { cmrs: [{ base: 0, size: 2 ** 46 }] }],
    ["cmrs", { cmrs: Array.from({ length: 33 }, (_, i) => ({ base: i * GIB, size: PAGE })) }],
  ])("is refused, and %s named", (code, change) => {
    let thrown: unknown;
    try {
      new TdxModule({ ...platform, ...change });
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(PlatformError);
    expect((thrown as PlatformError).code).toBe(code);
  });
});
