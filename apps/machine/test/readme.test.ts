import { readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), "utf8");
const readme = read("../README.md");

it("the example of the README runs and prints what the README says", async () => {
  expect(readme).toContain(`\`\`\`ts\n${read("./readme.example.ts")}\`\`\``);
  let printed = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((bytes) => {
    printed += new TextDecoder().decode(bytes as Uint8Array);
    return true;
  });
  const log = vi.spyOn(console, "log").mockImplementation((reason) => {
    printed += `${String(reason)}\n`;
  });
  await import("./readme.example.js");
  write.mockRestore();
  log.mockRestore();
  expect(printed).toContain("vm> echo hello\r\nhello\r\nvm> exit\r\n");
  expect(printed).toMatch(/power-off\n$/);
});

it("the plugin of the README is the one that is tested", () => {
  expect(readme).toContain(`\`\`\`ts\n${read("./syscall-counter.example.ts")}\`\`\``);
});
