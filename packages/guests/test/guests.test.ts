import { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Apt } from "../src/apt.js";
import { ensureGuests, guestCacheDir } from "../src/index.js";
import { exists } from "../src/process.js";

/** Where there is no apt there are no Debian packages to fetch; everywhere else these tests run. */
const withApt = it.skipIf(!(await exists("apt-get")));

/** Debian's archive is asked by the first run on a machine; later runs find the cache. */
const FETCH_MS = 300_000;

withApt("gets a bzImage of both series, busybox, and an initramfs for each kernel", { timeout: FETCH_MS }, async () => {
  const guests = await ensureGuests();
  for (const series of ["6.1", "6.12"] as const) {
    expect(readFileSync(guests.kernel(series)).subarray(0x202, 0x206).toString("latin1"), series).toBe("HdrS");
    const initrd = readFileSync(guests.initrd(series));
    expect(initrd.subarray(0, 6).toString("latin1")).toBe("070701");
    expect(initrd.includes("lib/modules/virtio_blk.ko\0")).toBe(true);
    expect(initrd.includes(readFileSync(guests.busybox))).toBe(true);
  }
});

withApt("uses a complete cache without asking anyone", { timeout: FETCH_MS }, async () => {
  await ensureGuests();
  const steps: string[] = [];
  await ensureGuests({ dir: guestCacheDir(), onProgress: ({ step }) => steps.push(step) });
  expect(steps).toEqual([]);
});

it("names what is missing where there is no apt", async () => {
  const path = process.env.PATH;
  process.env.PATH = mkdtempSync(join(tmpdir(), "vm-nothing-"));
  try {
    await expect(Apt.open(mkdtempSync(join(tmpdir(), "vm-apt-")))).rejects.toMatchObject({
      code: "no-apt",
      message: /no apt-get/,
    });
  } finally {
    process.env.PATH = path;
  }
});
