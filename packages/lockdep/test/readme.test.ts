import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";

const text = (name: string): string => readFileSync(new URL(name, import.meta.url), "utf8");

test("the README's example is the one that runs here, and prints what the README says", async () => {
  const readme = text("../README.md");
  expect(readme).toContain(`\`\`\`ts\n${text("readme.example.ts")}\`\`\``);
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  await import("./readme.example.js");
  const printed = log.mock.calls.flat().join("\n");
  log.mockRestore();
  expect(printed).toBe("WARNING: possible circular locking dependency detected");
  expect(readme).toContain(printed);
});
