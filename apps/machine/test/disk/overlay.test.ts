import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryDisk } from "../../src/disk/memory-disk.js";
import { OverlayDisk } from "../../src/disk/overlay-disk.js";

const SECTORS = 600;
const pattern = (): Uint8Array => new Uint8Array(SECTORS * 512).map((_, k) => (k >> 9) ^ k);

describe("a disk with an overlay", () => {
  it("reads what was written, and the disk below where nothing was; that one never changes", async () => {
    const write = fc.record({ sector: fc.nat(SECTORS - 1), count: fc.nat(300), fill: fc.nat(255) });
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 12 }), async (writes) => {
        const base = pattern();
        const overlay = new OverlayDisk(new MemoryDisk(base, { readonly: true }));
        const model = pattern();
        for (const { sector, count, fill } of writes) {
          const bytes = new Uint8Array(Math.min(count, SECTORS - sector) * 512).fill(fill);
          model.set(bytes, sector * 512);
          await overlay.write(sector, bytes);
        }
        const seen = new Uint8Array(SECTORS * 512);
        await overlay.read(0, seen);
        expect(Buffer.compare(seen, model)).toBe(0);
        expect(Buffer.compare(base, pattern())).toBe(0);
      }),
      { numRuns: 40 },
    );
  });

  it("takes its limit of memory and no more: a write that does not fit fails whole, others go on", async () => {
    const overlay = new OverlayDisk(new MemoryDisk(pattern()), { limit: 128 * 1024 });
    overlay.write(0, new Uint8Array(512).fill(1));
    expect(() => overlay.write(100, new Uint8Array(300 * 512))).toThrow("the overlay is full");
    overlay.write(130, new Uint8Array(512).fill(2));
    expect(() => overlay.write(599, new Uint8Array(512))).toThrow("the overlay is full");
    overlay.write(1, new Uint8Array(512).fill(3));
    const seen = new Uint8Array(SECTORS * 512);
    await overlay.read(0, seen);
    const model = pattern();
    for (const [sector, fill] of [
      [0, 1],
      [130, 2],
      [1, 3],
    ] as const)
      model.fill(fill, sector * 512, sector * 512 + 512);
    expect(Buffer.compare(seen, model)).toBe(0);
  });
});
