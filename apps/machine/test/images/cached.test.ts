import { cachedImages } from "@vm/guests";
import { expect, it } from "vitest";
import { bootFlags, guests } from "../boot/debian.js";
import { run } from "../cli.js";
import { plain, untilSeen } from "./on-screen.js";

const images = await cachedImages();
if (images === null)
  process.stderr.write("the images of `npm run test:images` are not in the cache: two tests skipped\n");

it.skipIf(images === null)("memtest86+ starts by its own entry and tests memory", async () => {
  const args = ["--memory", "16M", "--append", "console=ttyS0,115200", "--timeout", "240"];
  const seen = await untilSeen(/Address test/, "boot", "--kernel", images?.memtest.x64 ?? "", ...args);
  expect(plain(seen)).toMatch(/Memtest86\+ v6/);
});

it.skipIf(images === null || guests === null)(
  "Debian's full kernel, packed with the x86 filter of xz, boots",
  async () => {
    const flags = bootFlags("6.1");
    flags[flags.indexOf("--kernel") + 1] = images?.kernels["6.1"] ?? "";
    const { status, stdout, stderr } = await run(...flags, "--exec", "uname -r");
    expect([status, stdout], stderr).toEqual([0, expect.stringMatching(/^6\.1\.\S+-amd64\n$/)]);
  },
);
