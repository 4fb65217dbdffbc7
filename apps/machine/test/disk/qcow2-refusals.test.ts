import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Disk, DiskError, MemoryStore, Qcow2Disk } from "../../src/index.js";
import { openImage } from "../../src/node.js";
import { check, hasQemuImg, qemuImg } from "./qemu-img.js";

const dir = mkdtempSync(join(tmpdir(), "vm-qcow2-"));
afterAll(() => rmSync(dir, { recursive: true }));

const MIB = 2 ** 20;
let files = 0;
const newPath = (extension = "qcow2"): string => join(dir, `image-${files++}.${extension}`);

function create(...args: readonly string[]): string {
  const path = newPath();
  qemuImg("create", "-q", "-f", "qcow2", ...args, path, "4M");
  return path;
}

/** Changes an image as `spoil` says. */
function patch(path: string, spoil: (view: DataView) => void): string {
  const bytes = readFileSync(path);
  spoil(new DataView(bytes.buffer, bytes.byteOffset, bytes.length));
  writeFileSync(path, bytes);
  return path;
}

async function sector(disk: Disk, n: number): Promise<number> {
  const bytes = new Uint8Array(512);
  await disk.read(n, bytes);
  return bytes[0] ?? -1;
}

describe.skipIf(!hasQemuImg)("qcow2 images that are refused", () => {
  const INCOMPATIBLE = 79;
  it.each<[string, (view: DataView) => void]>([
    ['the incompatible feature "external data file"', (view) => view.setUint8(INCOMPATIBLE, 4)],
    ['the incompatible feature "extended L2 entries"', (view) => view.setUint8(INCOMPATIBLE, 16)],
    ["the incompatible feature of bit 40", (view) => view.setUint8(74, 1)],
    ["AES encryption", (view) => view.setUint32(32, 1)],
    ["LUKS encryption", (view) => view.setUint32(32, 2)],
    ["version 4", (view) => view.setUint32(4, 4)],
    ["clusters of 2^8 bytes", (view) => view.setUint32(20, 8)],
    ["clusters of 2^22 bytes", (view) => view.setUint32(20, 22)],
    ["a disk of 1000 bytes", (view) => view.setBigUint64(24, 1000n)],
    ["its L1 table of 1 entries is too small", (view) => view.setBigUint64(24, 1n << 40n)],
    ["an L1 table of 4294967295 entries", (view) => view.setUint32(36, 0xffff_ffff)],
    ["its L1 table is at no cluster", (view) => view.setBigUint64(40, 512n)],
    ["a refcount table of 4294967295 clusters", (view) => view.setUint32(56, 0xffff_ffff)],
    ["refcounts of 2^7 bits", (view) => view.setUint32(96, 7)],
    ["it says it is 100 bytes long", (view) => view.setUint32(100, 100)],
    ["the name of its backing file lies outside", (view) => view.setBigUint64(8, 1n << 40n)],
    ["its compression type and its feature bit differ", (view) => view.setUint8(104, 1)],
  ])("%s", async (message, spoil) => {
    const path = patch(create(), spoil);
    for (const mode of ["rw", "ro", "overlay"] as const) {
      const refusal = openImage(path, { mode });
      await expect(refusal).rejects.toThrow(DiskError);
      await expect(refusal).rejects.toThrow(message);
    }
  });

  it("a feature that the image itself names is refused by that name", async () => {
    const path = patch(create(), (view) => {
      // The feature name table of qemu-img: its first entry becomes incompatible bit 9, "frobs".
      let at = 104 + 8;
      while (view.getUint32(at) !== 0x6803f857) at += 8 + ((view.getUint32(at + 4) + 7) & ~7);
      view.setUint8(at + 8, 0);
      view.setUint8(at + 9, 9);
      for (const [k, byte] of [...Buffer.from("frobs\0")].entries()) view.setUint8(at + 10 + k, byte);
      view.setUint8(78, 2);
    });
    await expect(openImage(path)).rejects.toThrow('the incompatible feature "frobs"');
  });

  it.each([
    ["not closed properly", 1],
    ["corrupt", 2],
  ])("one that is marked as %s is read, not written", async (what, bit) => {
    const path = patch(create(), (view) => view.setUint8(INCOMPATIBLE, bit));
    await expect(openImage(path)).rejects.toThrow(`marked as ${what}: 'qemu-img check -r all' repairs it`);
    for (const mode of ["ro", "overlay"] as const) await (await openImage(path, { mode })).close();
  });

  it("one whose disk lies in its own tables is not written there", async () => {
    const path = newPath();
    writeFileSync(newPath("raw"), new Uint8Array(4 * MIB).fill(1));
    qemuImg("convert", "-O", "qcow2", join(dir, `image-${files - 1}.raw`), path);
    const bytes = readFileSync(path);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const l2 = Number(view.getBigUint64(Number(view.getBigUint64(40))) & 0xff_ffff_ffff_fe00n);
    for (const offset of [view.getBigUint64(40), view.getBigUint64(48)]) {
      view.setBigUint64(l2, offset | (1n << 63n));
      const store = new MemoryStore(new Uint8Array(bytes));
      const disk = await Qcow2Disk.open(store);
      await expect(disk.write(0, new Uint8Array(512))).rejects.toThrow("lies in its tables");
      expect(Buffer.compare(bytes, store.bytes)).toBe(0);
    }
  });
});

describe.skipIf(!hasQemuImg)("backing files", () => {
  function fill(path: string, byte: number): string {
    writeFileSync(path, new Uint8Array(4 * MIB).fill(byte));
    return path;
  }

  it("are found from where the image is, through a chain of them, and never written", async () => {
    const folder = join(dir, "chain");
    mkdirSync(join(folder, "below"), { recursive: true });
    const base = fill(join(folder, "below", "base.raw"), 7);
    const middle = join(folder, "below", "middle.qcow2");
    const top = join(folder, "top.qcow2");
    qemuImg("create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", middle);
    qemuImg("create", "-q", "-f", "qcow2", "-b", "below/middle.qcow2", "-F", "qcow2", top);
    const disk = await openImage(top);
    expect(await sector(disk, 100)).toBe(7);
    await disk.write(100, new Uint8Array(512).fill(9));
    expect([await sector(disk, 99), await sector(disk, 100), await sector(disk, 101)]).toEqual([7, 9, 7]);
    await expect(openImage(base)).rejects.toThrow("this process has it open already");
    await disk.close();
    expect(readFileSync(base).every((byte) => byte === 7)).toBe(true);
    expect(check(top)).toEqual({ errors: 0, corruptions: 0, leaks: 0 });
  });

  it("an overlay goes over an image with one, and leaves both alone", async () => {
    const base = fill(newPath("raw"), 3);
    const path = create("-b", base, "-F", "raw");
    const before = readFileSync(path);
    const disk = await openImage(path, { mode: "overlay" });
    await disk.write(5, new Uint8Array(1024).fill(4));
    expect([await sector(disk, 4), await sector(disk, 5), await sector(disk, 6), await sector(disk, 7)]).toEqual([
      3, 4, 4, 3,
    ]);
    await disk.close();
    expect(readFileSync(path).equals(before)).toBe(true);
  });

  it("that form a ring are refused", async () => {
    const [a, b] = [create(), newPath()];
    qemuImg("create", "-q", "-f", "qcow2", "-b", a, "-F", "qcow2", b);
    qemuImg("rebase", "-u", "-f", "qcow2", "-b", b, "-F", "qcow2", a);
    for (const mode of ["rw", "ro"] as const)
      await expect(openImage(a, { mode })).rejects.toThrow("it is its own backing file");
    const self = create();
    qemuImg("rebase", "-u", "-f", "qcow2", "-b", self, "-F", "qcow2", self);
    await expect(openImage(self)).rejects.toMatchObject({ code: "chain" });
  });

  it("more than 32 of them are refused", async () => {
    let path = create();
    for (let k = 0; k < 33; k++) {
      const next = newPath();
      qemuImg("create", "-q", "-u", "-f", "qcow2", "-b", path, "-F", "qcow2", next, "4M");
      path = next;
    }
    await expect(openImage(path)).rejects.toThrow("it is behind 32 others");
  });

  it.each([
    ["nbd://host/disk", "raw", 'it is reached by "nbd"'],
    ['json:{"driver":"raw"}', "raw", 'it is reached by "json"'],
    ["missing.raw", "raw", "ENOENT"],
    ["image.vmdk", "vmdk", 'its format is said to be "vmdk"'],
  ])("%s (%s) is refused by name", async (name, format, message) => {
    const path = newPath();
    qemuImg("create", "-q", "-u", "-f", "qcow2", path, "4M");
    qemuImg("rebase", "-u", "-f", "qcow2", "-b", name, "-F", format, path);
    await expect(openImage(path)).rejects.toThrow(`its backing file ${JSON.stringify(name)}: `);
    await expect(openImage(path)).rejects.toThrow(message);
  });

  it("that were moved away while the image was closed give a sentence, and nothing stays locked", async () => {
    const base = fill(newPath("raw"), 1);
    const path = create("-b", base, "-F", "raw");
    renameSync(base, `${base}.away`);
    await expect(openImage(path)).rejects.toThrow(DiskError);
    renameSync(`${base}.away`, base);
    await (await openImage(path)).close();
  });
});

describe.skipIf(!hasQemuImg)("what a host can do to an image", () => {
  it("a store that fails or is full is an I/O error of that write; the image stays sound, and what was done before is there", async () => {
    const path = create("-o", "cluster_size=4k");
    for (let failing = 1; failing < 60; failing += 3) {
      let calls = 0;
      const store = new MemoryStore(new Uint8Array(readFileSync(path)));
      const write = store.write.bind(store);
      store.write = async (offset, bytes) => {
        if (++calls === failing) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
        await write(offset, bytes);
      };
      const disk = await Qcow2Disk.open(store);
      const done = new Map<number, number>();
      for (let k = 0; k < 30; k++) {
        const at = (k * 37) % 1000;
        await disk.write(at, new Uint8Array(1024).fill(k + 1)).then(
          () => [at, at + 1].map((n) => done.set(n, k + 1)),
          () => [at, at + 1].map((n) => done.delete(n)),
        );
      }
      for (const [n, byte] of done) expect(await sector(disk, n)).toBe(byte);
      await disk.close().catch(() => undefined);
      const copy = newPath();
      writeFileSync(copy, store.bytes);
      const { errors, corruptions } = check(copy);
      expect({ failing, errors, corruptions }).toEqual({ failing, errors: 0, corruptions: 0 });
      rmSync(copy);
    }
  });

  it("autoclear bits go with the first write, not before", async () => {
    const path = patch(create(), (view) => view.setUint8(95, 0x81));
    const before = readFileSync(path);
    const disk = await openImage(path);
    await sector(disk, 0);
    expect(readFileSync(path).equals(before)).toBe(true);
    await disk.write(0, new Uint8Array(512));
    expect([...readFileSync(path).subarray(88, 96)]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    await disk.close();
  });
});
