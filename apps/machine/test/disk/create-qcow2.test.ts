import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { createQcow2, MemoryDisk, MemoryStore, Qcow2Disk } from "../../src/index.js";
import { check, hasQemuImg, qemuImg } from "./qemu-img.js";

const dir = mkdtempSync(join(tmpdir(), "vm-create-"));
afterAll(() => rmSync(dir, { recursive: true }));

const SIZES = [1, 3, 2 ** 21, 2 ** 21 + 1, 2 ** 36];

describe("a qcow2 image that was made here", () => {
  it.each(SIZES)("of %d sectors is all zeros, and keeps what is written at its ends", async (sectors) => {
    const store = new MemoryStore();
    await createQcow2(store, { sectors });
    const disk = await Qcow2Disk.open(store);
    expect(disk.sectors).toBe(sectors);
    const bytes = new Uint8Array(512).fill(1);
    await disk.read(sectors - 1, bytes);
    expect(bytes).toEqual(new Uint8Array(512));
    await disk.write(0, new Uint8Array(512).fill(2));
    await disk.write(sectors - 1, new Uint8Array(512).fill(3));
    await disk.close();
    const again = await Qcow2Disk.open(store);
    await again.read(sectors - 1, bytes);
    expect(bytes).toEqual(new Uint8Array(512).fill(3));
  });

  it("shows what lies below it under the name it was given", async () => {
    const store = new MemoryStore();
    await createQcow2(store, { sectors: 2, backing: { name: "below ä", format: "raw" } });
    const asked: unknown[] = [];
    const disk = await Qcow2Disk.open(store, {
      openBacking: async (...named) => {
        asked.push(named);
        return new MemoryDisk(new Uint8Array(1024).fill(4));
      },
    });
    const bytes = new Uint8Array(512);
    await disk.read(1, bytes);
    expect([asked, bytes]).toEqual([[["below ä", "raw"]], new Uint8Array(512).fill(4)]);
  });

  it.each([0, 1.5, 2 ** 42 + 1])("cannot have %d sectors", async (sectors) => {
    await expect(createQcow2(new MemoryStore(), { sectors })).rejects.toMatchObject({ code: "unusable" });
  });

  it.skipIf(!hasQemuImg).each(SIZES)("of %d sectors is sound to qemu-img", async (sectors) => {
    const [path, base] = [join(dir, `${sectors}.qcow2`), join(dir, "base")];
    writeFileSync(base, new Uint8Array(512));
    const store = new MemoryStore();
    await createQcow2(store, { sectors, backing: { name: base, format: "raw" } });
    writeFileSync(path, store.bytes);
    expect(check(path)).toEqual({ errors: 0, corruptions: 0, leaks: 0 });
    const info = JSON.parse(qemuImg("info", "--output=json", path)) as Record<string, unknown>;
    expect(info).toMatchObject({
      "virtual-size": sectors * 512,
      "backing-filename": base,
      "backing-filename-format": "raw",
    });
  });
});
