import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { PAGE, pageFiles } from "../tools/site.mjs";

/** Bytes of the page with everything it can load, as a server sends it, guests not counted. */
const MOST = 340_000;

it("the page is at most 340 kB gzipped, its Worker and all else that it can load included", () => {
  const files = pageFiles(PAGE)
    .map((name) => ({ name, bytes: gzipSync(readFileSync(join(PAGE, name)), { level: 9 }).length }))
    .sort((a, b) => b.bytes - a.bytes);
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const kb = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`;
  process.stdout.write(
    `page, gzipped: ${kb(total)} (${files.map(({ name, bytes }) => `${name} ${kb(bytes)}`).join(", ")})\n`,
  );
  expect(files.map(({ name }) => name)).toContain("index.html");
  expect(total).toBeLessThanOrEqual(MOST);
});
