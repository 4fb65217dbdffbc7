import { readFileSync } from "node:fs";
import { expect, test, vi } from "vitest";

const text = (file: string) => readFileSync(new URL(file, import.meta.url), "utf8");

test("the README's example is the one that runs here, has at most 15 lines, and says hello", async () => {
  const example = text("./readme.example.ts");
  expect(text("../README.md")).toContain(`\`\`\`ts\n${example}\`\`\``);
  expect(example.split("\n").filter((line) => line !== "").length).toBeLessThanOrEqual(15);
  const write = vi.spyOn(process.stdout, "write").mockImplementation(() => true);
  await import("./readme.example.js");
  const output = write.mock.calls.map(([chunk]) => chunk).join("");
  write.mockRestore();
  expect(output).toBe("hello\n");
});
