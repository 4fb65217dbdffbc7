import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { launch, noBrowser } from "./launch.js";

const ENTRY = fileURLToPath(new URL("../../../../packages/tdx/dist/index.js", import.meta.url));

/** What the bundle leaves in the page. */
type Tdx = typeof import("../../../../packages/tdx/dist/index.js");

/** Makes a quote of a TD of nothing, verifies it with one bit turned or none, and says what came of it. */
function verdict(tdx: Tdx, flipped: number | null): { accepted: boolean; status: string | undefined; codes: string[] } {
  const tdInfo = new Uint8Array(512);
  tdInfo.set([0, 0, 0, 0x10], 0);
  tdInfo.set([3], 8);
  const report = new tdx.ReportPlatform({ secret: new Uint8Array(32) }).create(tdInfo, new Uint8Array(64));
  const current = { notBefore: new Date("2026-11-01"), notAfter: new Date("2026-12-01") };
  const platform = new tdx.SimulatedPlatform({ seed: "page", current });
  const quote = platform.quote(tdx.quoteBody(tdx.parseTdReport(report)));
  if (flipped !== null) quote[flipped >> 3] = (quote[flipped >> 3] as number) ^ (1 << (flipped & 7));
  const found = tdx.verifyQuote(quote, { ...platform, time: new Date("2026-11-15") });
  return { accepted: found.accepted, status: found.tcbStatus, codes: found.reasons.map(({ code }) => code) };
}

describe.skipIf(noBrowser !== null)("@vm/tdx in a browser", () => {
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    const { outputFiles } = await build({
      ...{ entryPoints: [ENTRY], bundle: true, write: false, format: "iife", globalName: "tdx", platform: "browser" },
    });
    browser = await launch();
    page = await browser.newPage();
    await page.addScriptTag({ content: outputFiles[0]?.text ?? "" });
  });
  afterAll(async () => browser?.close());

  const inPage = (flipped: number | null) =>
    page.evaluate(`(${verdict.toString()})(tdx, ${flipped})`) as Promise<ReturnType<typeof verdict>>;

  it("accepts a quote under its root", async () => {
    expect(await inPage(null)).toEqual({ accepted: true, status: "UpToDate", codes: [] });
  });

  it.each([0, 48 * 8 + 3, 400 * 8, 632 * 8 + 77, 1100 * 8])(
    "rejects it with bit %d turned, and says of it what Node says",
    async (bit) => {
      const found = await inPage(bit);
      expect(found.accepted).toBe(false);
      expect(found).toEqual(verdict(await import(ENTRY), bit));
    },
  );
});
