import { readFileSync } from "node:fs";
import { expect, it, vi } from "vitest";
import { exists } from "../src/process.js";

const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");

it("README.md shows the example verbatim", () => {
  expect(text("../README.md")).toContain(`\`\`\`ts\n${text("./readme.example.ts")}\`\`\`\n`);
});

it.skipIf(!(await exists("apt-get")))(
  "the example prints a kernel and an initramfs",
  { timeout: 300_000 },
  async () => {
    const log = vi.spyOn(console, "log").mockImplementation(() => undefined);
    await import("./readme.example.js");
    expect(log.mock.calls).toEqual([
      ["kernel:", expect.stringContaining("vmlinuz-6.1.")],
      ["initramfs:", expect.stringContaining("initramfs-6.1-")],
    ]);
  },
);
