import { describe, expect, it } from "vitest";
import { BlobStore, OpfsStore, openBlob } from "../../../src/browser.js";
import { createQcow2, MemoryStore, Qcow2Disk } from "../../../src/index.js";
import { FakeDirectory } from "./fake-opfs.js";

const raw = new Blob([new Uint8Array(2048).fill(7)]);
const sector = (byte: number): Uint8Array => new Uint8Array(512).fill(byte);

async function read(disk: { read(sector: number, dst: Uint8Array): unknown }, at: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(512);
  await disk.read(at, bytes);
  return bytes;
}

async function qcow2Blob(): Promise<Blob> {
  const store = new MemoryStore();
  await createQcow2(store, { sectors: 4 });
  const disk = await Qcow2Disk.open(store);
  await disk.write(1, sector(5));
  await disk.close();
  return new Blob([store.bytes.slice()]);
}

describe("a blob as a store", () => {
  it("reads pieces, less at its end, and takes no writes", async () => {
    const store = new BlobStore(new Blob([Uint8Array.of(1, 2, 3)]));
    const bytes = new Uint8Array(4);
    expect([store.size, await store.read(1, bytes), ...bytes]).toEqual([3, 2, 2, 3, 0, 0]);
    await expect(store.write()).rejects.toMatchObject({ code: "refused" });
    await expect(store.truncate()).rejects.toMatchObject({ code: "refused" });
  });
});

describe("an image in a blob", () => {
  it("raw or qcow2 is found out", async () => {
    const disks = [await openBlob(raw), await openBlob(await qcow2Blob())];
    expect(disks.map(({ sectors }) => sectors)).toEqual([4, 4]);
    expect([await read(disks[0] as never, 1), await read(disks[1] as never, 1)]).toEqual([sector(7), sector(5)]);
  });

  it("ro takes no writes", async () => {
    const disk = await openBlob(raw, { writes: "ro" });
    expect(disk.readonly).toBe(true);
  });

  it("by default what is written is gone when it is closed", async () => {
    const disk = await openBlob(raw);
    await disk.write(0, sector(9));
    expect(await read(disk, 0)).toEqual(sector(9));
    await disk.close();
    expect(await read(await openBlob(raw), 0)).toEqual(sector(7));
  });

  it("what is written into a store is there the next time, also when nobody closed the disk", async () => {
    const directory = new FakeDirectory();
    for (const close of [true, false]) {
      const disk = await openBlob(raw, { writes: await OpfsStore.open("written", { directory }) });
      await disk.write(close ? 0 : 2, sector(close ? 9 : 8));
      if (close) await disk.close();
      else directory.open.clear();
    }
    const disk = await openBlob(raw, { writes: await OpfsStore.open("written", { directory }) });
    const found = [await read(disk, 0), await read(disk, 1), await read(disk, 2)];
    expect(found).toEqual([sector(9), sector(7), sector(8)]);
    // A MiB ahead, and the tables.
    expect(directory.files.get("written")?.length).toBeLessThan(3 * 2 ** 20);
  });

  it("the store must be of an image of that size", async () => {
    const writes = new MemoryStore();
    await createQcow2(writes, { sectors: 8, backing: { name: "base", format: "raw" } });
    await expect(openBlob(raw, { writes })).rejects.toThrow("a disk of 8 sectors, the image has 4");
  });

  it.each([
    ["empty", new Blob([]), "it is empty"],
    ["packed", new Blob([Uint8Array.of(0x1f, 0x8b, 8, 0)]), "its format is gzip-compressed"],
    ["of odd size", new Blob(["abc"]), "its size of 3 bytes is not a multiple of 512"],
  ])("one that is %s is refused with a sentence", async (_, blob, sentence) => {
    await expect(openBlob(blob)).rejects.toThrow(sentence);
  });
});
