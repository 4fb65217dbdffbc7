import { execFileSync, spawn as spawnChild, spawnSync } from "node:child_process";
import { linkSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { openDisk } from "../../src/cli/disk-argument.js";
import { UsageError } from "../../src/cli/errors.js";
import { DiskError } from "../../src/disk/error.js";
import { openImage } from "../../src/disk/node/open-image.js";

const dir = mkdtempSync(join(tmpdir(), "vm-disk-"));
const path = join(dir, "disk.img");
afterAll(() => rmSync(dir, { recursive: true }));
beforeEach(() => writeFileSync(path, new Uint8Array(2048).fill(7)));

describe("a disk in a raw file", () => {
  it("has the sectors of the file", async () => {
    const disk = await openDisk(path);
    expect([disk.sectors, disk.readonly]).toEqual([4, false]);
    await disk.close();
  });

  it("a write is in the file when it is done, nothing else has changed", async () => {
    const disk = await openDisk(path);
    await disk.write(2, new Uint8Array(512).fill(9));
    const file = readFileSync(path);
    expect([file[1023], file[1024], file[1535], file[1536], file.length]).toEqual([7, 9, 9, 7, 2048]);
    const sector = new Uint8Array(512);
    await disk.read(2, sector);
    expect(sector).toEqual(new Uint8Array(512).fill(9));
    await disk.flush();
    await disk.close();
  });

  it("an image that shrank gives an error, not stale data, and takes writes", async () => {
    const disk = await openDisk(path);
    truncateSync(path, 512);
    await expect(disk.read(1, new Uint8Array(512))).rejects.toThrow("has shrunk: it ends before byte 1024");
    await disk.write(3, new Uint8Array(512).fill(9));
    expect(readFileSync(path).length).toBe(2048);
    await disk.close();
  });

  it("with :ro it is read-only", async () => {
    const disk = await openDisk(`${path}:ro`);
    expect(disk.readonly).toBe(true);
    await expect(disk.write(0, new Uint8Array(512))).rejects.toThrow();
    await disk.close();
  });

  it("closing waits for what is under way", async () => {
    const disk = await openDisk(path);
    const written = Array.from({ length: 4 }, (_, sector) => disk.write(sector, new Uint8Array(512).fill(sector)));
    await disk.close();
    await Promise.all(written);
    expect([0, 1, 2, 3].map((sector) => readFileSync(path)[sector * 512])).toEqual([0, 1, 2, 3]);
  });

  it.each([
    ["that does not exist", join(dir, "none"), "none: no such file"],
    ["that is a directory", dir, "it is a directory"],
    ["that is a read-only directory", `${dir}:ro`, "it is not a file"],
    ["that is a character device", "/dev/null", "it is not a file"],
    ["that never ends", "/dev/zero:ro", "it is not a file"],
  ])("refuses one %s", async (_, argument, message) => {
    await expect(openDisk(argument)).rejects.toThrow(UsageError);
    await expect(openDisk(argument)).rejects.toThrow(message);
  });

  it.each([":ro", ":overlay", ""])("refuses a FIFO that nobody writes, at once (%s)", async (mode) => {
    const fifo = join(dir, `fifo${mode.length}`);
    execFileSync("mkfifo", [fifo]);
    await expect(openDisk(`${fifo}${mode}`)).rejects.toThrow("it is not a file");
  });

  it.each([
    [0, "it is empty"],
    [513, "513 bytes is not a multiple of 512"],
  ])("refuses one of %d bytes", async (size, message) => {
    writeFileSync(path, new Uint8Array(size));
    await expect(openDisk(path)).rejects.toThrow(message);
  });
});

describe("formats", () => {
  const QFI = [0x51, 0x46, 0x49, 0xfb];
  const begin = (at: number, ...bytes: (number | string)[]): Uint8Array => {
    const image = new Uint8Array(1024);
    image.set(
      bytes.flatMap((part) => (typeof part === "string" ? [...Buffer.from(part)] : [part])),
      at,
    );
    return image;
  };

  it.each<[string, Uint8Array]>([
    ["qcow (version 1)", begin(0, ...QFI, 0, 0, 0, 1)],
    ["QED", begin(0, "QED", 0)],
    ["VMDK", begin(0, "KDMV")],
    ["VMDK descriptor", begin(0, "# Disk DescriptorFile\n")],
    ["VDI", begin(64, 0x7f, 0x10, 0xda, 0xbe)],
    ["VHD", begin(0, "conectix")],
    ["VHDX", begin(0, "vhdxfile")],
    ["LUKS", begin(0, "LUKS", 0xba, 0xbe)],
    ["gzip-compressed", begin(0, 0x1f, 0x8b, 8)],
    ["xz-compressed", begin(0, 0xfd, "7zXZ", 0)],
    ["zstd-compressed", begin(0, 0x28, 0xb5, 0x2f, 0xfd)],
  ])("%s is refused by name, whatever the mode, unless it is said to be raw", async (name, image) => {
    writeFileSync(path, image);
    for (const mode of ["", ":ro", ":overlay"])
      await expect(openDisk(`${path}${mode}`)).rejects.toThrow(`its format is ${name}`);
    await expect(openDisk(path)).rejects.toThrow("format=raw");
    const disk = await openDisk(`${path},format=raw`);
    expect(disk.sectors).toBe(2);
    await disk.close();
    expect(Buffer.compare(readFileSync(path), image)).toBe(0);
  });

  it("the guest of an image that was guessed to be raw cannot make a qcow2 of it; of one that was said to be, it can", async () => {
    const header = begin(0, ...QFI, 0, 0, 0, 3);
    const guessed = await openDisk(path);
    await expect(guessed.write(0, header)).rejects.toThrow("format=raw permits it");
    await guessed.write(1, header.subarray(0, 512));
    await guessed.write(0, begin(0, "GRUB"));
    await guessed.close();
    const said = await openDisk(`${path},format=raw`);
    await said.write(0, header);
    await said.close();
    expect([...readFileSync(path).subarray(0, 4)]).toEqual(QFI);
  });
});

const noFlock = spawnSync("flock", ["--version"]).error !== undefined;

describe("one writer per image", () => {
  const names = {
    itself: path,
    "a symbolic link": join(dir, "symbolic"),
    "a hard link": join(dir, "hard"),
  };
  beforeEach(() => {
    rmSync(names["a symbolic link"], { force: true });
    rmSync(names["a hard link"], { force: true });
    symlinkSync(path, names["a symbolic link"]);
    linkSync(path, names["a hard link"]);
  });

  it.each(Object.entries(names))("a second opening in this process is refused, by %s", async (_, name) => {
    const writer = await openDisk(path);
    for (const mode of ["", ":ro", ":overlay"])
      await expect(openDisk(`${name}${mode}`)).rejects.toThrow("this process has it open for writing already");
    await writer.close();
    const readers = [await openDisk(`${path}:ro`), await openDisk(`${name}:overlay`)];
    await expect(openDisk(name)).rejects.toThrow("this process has it open already");
    for (const reader of readers) await reader.close();
    await (await openDisk(name)).close();
  });

  it("unless it is asked for", async () => {
    const disks = [await openDisk(path), await openDisk(`${path},lock=off`)];
    for (const disk of disks) await disk.close();
  });

  it("a refusal is a DiskError with a code, and leaves nothing locked", async () => {
    const writer = await openImage(path);
    const refusal = openImage(path, { mode: "ro" });
    await expect(refusal).rejects.toThrow(DiskError);
    await expect(refusal).rejects.toMatchObject({ code: "busy" });
    await writer.close();
    await (await openImage(path)).close();
  });

  it.skipIf(noFlock)("another process's lock is seen, and vanishes with that process, however it ends", async () => {
    // Holds the lock as our own process would: on an open file, by flock(1).
    const holding = (mode: string): { end: () => Promise<void>; ready: Promise<unknown> } => {
      const script = `exec 3<"$0"; flock ${mode} -n 3; echo held; exec sleep 1000`;
      const child = spawnChild("sh", ["-c", script, path]);
      return {
        ready: new Promise((resolve) => child.stdout.once("data", resolve)),
        end: () =>
          new Promise((resolve) => {
            child.once("exit", () => resolve());
            child.kill("SIGKILL");
          }),
      };
    };
    const writer = holding("-x");
    await writer.ready;
    for (const mode of ["", ":ro", ":overlay"])
      await expect(openDisk(`${names["a hard link"]}${mode}`)).rejects.toThrow("another process has it open");
    await writer.end();
    const reader = holding("-s");
    await reader.ready;
    await (await openDisk(`${path}:ro`)).close();
    await expect(openDisk(path)).rejects.toThrow("another process has it open");
    await reader.end();
    await (await openDisk(path)).close();
  });
});
