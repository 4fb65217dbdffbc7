import { runExample } from "@vm/presets/testing";
import { expect, it } from "vitest";
import { exists } from "../src/process.js";

it.skipIf(!(await exists("apt-get")))(
  "the example of the README prints a kernel and an initramfs",
  { timeout: 300_000 },
  async () => expect(await runExample(0)).toMatch(/^kernel: .*vmlinuz-6\.1\..*\ninitramfs: .*initramfs-6\.1-.*\n$/),
);
