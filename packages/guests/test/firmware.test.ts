import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { cachedFirmware, ensureFirmware } from "../src/index.js";

const firmware = await cachedFirmware();

it("is what is in the folder, if all of it is there; nothing is fetched then", async () => {
  const dir = mkdtempSync(join(tmpdir(), "vm-firmware-"));
  for (const name of ["tdvf", "shim"]) writeFileSync(join(dir, name), name);
  expect(await cachedFirmware(dir)).toBeNull();
  writeFileSync(join(dir, "grub"), "grub");
  const all = { tdvf: join(dir, "tdvf"), shim: join(dir, "shim"), grub: join(dir, "grub") };
  expect(await cachedFirmware(dir)).toEqual(all);
  const steps: string[] = [];
  expect(await ensureFirmware({ dir, onProgress: ({ step }) => steps.push(step) })).toEqual(all);
  expect(steps).toEqual([]);
});

it("is nothing where there is no folder", async () => {
  expect(await cachedFirmware(join(tmpdir(), "vm-no-such-folder"))).toBeNull();
});

it("cannot be had without apt, and leaves nothing half-made", async () => {
  const path = process.env.PATH;
  const dir = mkdtempSync(join(tmpdir(), "vm-firmware-"));
  mkdirSync(join(dir, "empty"));
  process.env.PATH = join(dir, "empty");
  try {
    await expect(ensureFirmware({ dir: join(dir, "cache") })).rejects.toMatchObject({ code: "no-apt" });
    expect(await cachedFirmware(join(dir, "cache"))).toBeNull();
  } finally {
    process.env.PATH = path;
  }
});

it.skipIf(firmware === null)(
  `is a firmware volume with a TDX metadata, and two EFI programs${firmware === null ? " (skipped: not in the cache)" : ""}`,
  () => {
    const tdvf = readFileSync(firmware?.tdvf ?? "");
    expect(tdvf.subarray(40, 44).toString("latin1")).toBe("_FVH");
    expect(tdvf.includes("TDVF")).toBe(true);
    for (const program of [firmware?.shim, firmware?.grub])
      expect(
        readFileSync(program ?? "")
          .subarray(0, 2)
          .toString("latin1"),
      ).toBe("MZ");
  },
);
