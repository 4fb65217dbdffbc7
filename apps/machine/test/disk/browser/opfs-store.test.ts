import { describe, expect, it, vi } from "vitest";
import { OpfsStore, originFiles, type SyncAccessHandle } from "../../../src/browser.js";
import { RawDisk } from "../../../src/index.js";
import { FakeDirectory } from "./fake-opfs.js";

describe("a file of the origin", () => {
  it("keeps what was written for who opens it next", async () => {
    const directory = new FakeDirectory();
    const store = await OpfsStore.open("disk.img", { directory });
    expect(store.size).toBe(0);
    await store.write(3, Uint8Array.of(1, 2));
    expect(store.size).toBe(5);
    await store.close();
    await store.close();
    const again = await OpfsStore.open("disk.img", { directory, create: false });
    const bytes = new Uint8Array(8);
    expect([await again.read(2, bytes), ...bytes]).toEqual([3, 0, 1, 2, 0, 0, 0, 0, 0]);
  });

  it("is a disk once it has a size, and a flush of the disk is one of the file", async () => {
    const directory = new FakeDirectory();
    const store = await OpfsStore.open("disk.img", { directory });
    await store.truncate(4096);
    const disk = new RawDisk(store);
    await disk.write(7, new Uint8Array(512).fill(9));
    await disk.flush();
    expect([disk.sectors, directory.flushes, directory.files.get("disk.img")?.[7 * 512]]).toEqual([8, 1, 9]);
  });

  it("takes all of a write that the browser takes in pieces", async () => {
    const directory = new FakeDirectory();
    directory.atOnce = 3;
    const store = await OpfsStore.open("disk.img", { directory });
    await store.write(0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7));
    expect([...(directory.files.get("disk.img") ?? [])]).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("is busy while someone has it open", async () => {
    const directory = new FakeDirectory();
    const store = await OpfsStore.open("disk.img", { directory });
    await expect(OpfsStore.open("disk.img", { directory })).rejects.toMatchObject({
      code: "busy",
      message: "another tab or Worker has it open",
    });
    await store.close();
    await (await OpfsStore.open("disk.img", { directory })).close();
  });

  it.each([
    ["an exception", false],
    ["a number that is no count, and nothing at all", true],
  ])("refuses what the browser has no room for, also where that says so by %s", async (_, silent) => {
    const directory = new FakeDirectory(1024);
    directory.silent = silent;
    const store = await OpfsStore.open("disk.img", { directory });
    const refused = { code: "refused", message: "the browser gives this page no more room" };
    await expect(store.write(1000, new Uint8Array(100))).rejects.toMatchObject(refused);
    await expect(store.truncate(2048)).rejects.toMatchObject(refused);
    expect(store.size).toBe(0);
    await store.write(0, new Uint8Array(1024).fill(1));
    expect(store.size).toBe(1024);
  });

  it("says what the browser cannot read", async () => {
    const handle = { read: () => -2 >>> 0, getSize: () => 512 } as unknown as SyncAccessHandle;
    await expect(new OpfsStore(handle).read(0, new Uint8Array(512))).rejects.toMatchObject({ code: "unusable" });
  });

  it("is not made when it is not to be", async () => {
    const found = OpfsStore.open("none", { directory: new FakeDirectory(), create: false });
    await expect(found).rejects.toMatchObject({ code: "unusable", message: "there is no such file" });
  });

  it("needs a Worker of a browser that has access handles", async () => {
    const directory = { getFileHandle: async () => ({ kind: "file" }) as const };
    await expect(OpfsStore.open("disk.img", { directory })).rejects.toMatchObject({ code: "unsupported" });
  });
});

describe("the file system of the origin", () => {
  it("is not there outside browsers and on insecure origins", async () => {
    vi.stubGlobal("navigator", {});
    await expect(originFiles()).rejects.toMatchObject({ code: "unsupported" });
    vi.unstubAllGlobals();
  });

  it("is not there in a private window of some browsers", async () => {
    const getDirectory = () => Promise.reject(Object.assign(new Error("no"), { name: "SecurityError" }));
    vi.stubGlobal("navigator", { storage: { getDirectory } });
    await expect(originFiles()).rejects.toThrow("as in a private window");
    vi.unstubAllGlobals();
  });
});
