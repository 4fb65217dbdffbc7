import { readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

it("the example of the README runs and prints what the README says", async () => {
  const readme = read("../README.md");
  expect(readme).toContain(`\`\`\`ts\n${read("./readme.example.ts")}\`\`\``);
  const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
  await import("./readme.example.js");
  const printed = log.mock.calls.map(([line]) => `${String(line)}\n`).join("");
  log.mockRestore();
  expect(readme).toContain(`\`\`\`text\n${printed}\`\`\``);
});
