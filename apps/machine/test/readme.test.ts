import { readFileSync } from "node:fs";
import { runExample, testReadme } from "@vm/presets/testing";
import { expect, it } from "vitest";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");

it("the first example of the README boots the built-in guest", async () => {
  const printed = await runExample(0);
  expect(printed).toContain("vm> echo hello\r\nhello\r\nvm> exit\r\n");
  expect(printed).toMatch(/\npower-off \{.*\}\n$/s);
});

testReadme();

it("the plugin of the README is the one that is tested", () => {
  expect(read("../README.md")).toContain(`\`\`\`js\n${read("./syscall-counter.example.mjs")}\`\`\``);
});
