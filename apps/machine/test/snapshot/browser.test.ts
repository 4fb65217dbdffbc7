import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { loadSnapshot, type SnapshotDirectory } from "../../src/browser.js";
import { createMachine, type Machine } from "../../src/index.js";
import { saveSnapshot } from "../../src/node.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { ENGINE, transcript } from "../guest.js";
import { imageOf, memslot } from "./guest-memory.js";
import { RangedServer } from "./ranged-server.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();

/** Those of the blobs below that have changed since they were opened. */
let changed = false;

/** A folder of the host as a browser shows it. */
function directory(path: string, name = "picked"): SnapshotDirectory {
  const find = (child: string, isFile: boolean): string => {
    const at = join(path, child);
    if (!existsSync(at)) throw new DOMException("nothing there", "NotFoundError");
    if (statSync(at).isFile() !== isFile) throw new DOMException("something else", "TypeMismatchError");
    return at;
  };
  return {
    name,
    getFileHandle: async (child) => {
      const at = find(child, true);
      return {
        getFile: async () => {
          const file = new Blob([readFileSync(at)]);
          const slice = (start: number, end: number): Blob => {
            if (changed) throw new DOMException("the file has changed", "NotReadableError");
            return file.slice(start, end);
          };
          return { size: file.size, slice };
        },
      };
    },
    getDirectoryHandle: async (child) => directory(find(child, false), child),
  };
}

/** Reads at once, as in a Worker. */
class FileReaderSync {
  readAsArrayBuffer(part: Blob): ArrayBuffer {
    return bytesOf.get(part) ?? expect.unreachable();
  }
}
const bytesOf = new WeakMap<Blob, ArrayBuffer>();

/** The same, for {@link FileReaderSync}: what a Blob of Node's holds is not had at once. */
function inWorker(from: SnapshotDirectory, path: string): SnapshotDirectory {
  vi.stubGlobal("FileReaderSync", FileReaderSync);
  const getFileHandle: SnapshotDirectory["getFileHandle"] = async (child) => {
    const file = await (await from.getFileHandle(child)).getFile();
    const bytes = new Uint8Array(readFileSync(join(path, child)));
    const slice = (start: number, end: number): Blob => {
      const part = file.slice(start, end) as Blob;
      bytesOf.set(part, bytes.slice(start, end).buffer);
      return part;
    };
    return { getFile: async () => ({ size: file.size, slice }) };
  };
  return { ...from, getFileHandle };
}

afterEach(() => {
  vi.unstubAllGlobals();
  changed = false;
});

const booted = join(folder, "booted");
let expected: unknown;

/** Chunks that somebody had to wait for. */
function waitedFor(machine: Machine): number {
  const { demanded = 0, atOnce = 0 } = machine.stats().lateMemory ?? {};
  return demanded - atOnce;
}

async function rest(snapshot: Awaited<ReturnType<typeof loadSnapshot>>) {
  const machine = await createMachine({ snapshot });
  const text = transcript(machine);
  const before = waitedFor(machine);
  const end = await machine.run();
  const waited = waitedFor(machine) - before;
  await snapshot.close();
  const { instructions, lateMemory } = machine.stats();
  return { came: { end, instructions, text: text.text }, lateMemory, waited };
}

beforeAll(async () => {
  const machine = await createMachine({ clock: "icount", memory: 16 << 20, ...ENGINE });
  machine.console.write("echo one\nexit 3\n");
  await saveSnapshot(booted, await machine.snapshot({ at: 9000, stop: true }));
  expected = (await rest(await loadSnapshot(directory(booted)))).came;
});

describe("a machine goes on from a snapshot", () => {
  it("in a directory of the browser's", async () => {
    const { came, lateMemory } = await rest(await loadSnapshot(directory(booted), { lazy: true }));
    expect(came).toEqual(expected);
    expect(lateMemory).toMatchObject({ atOnce: 0 });
    expect(lateMemory?.demanded).toBeGreaterThan(0);
  });

  it("in one, whose files a Worker reads at once", async () => {
    const { came, lateMemory, waited } = await rest(
      await loadSnapshot(inWorker(directory(booted), booted), { lazy: true }),
    );
    expect(came).toEqual(expected);
    expect(lateMemory?.atOnce).toBeGreaterThan(0);
    expect(waited).toBe(0);
  });

  it("at a URL", async () => {
    const server = await new RangedServer(folder).listen();
    const { came } = await rest(await loadSnapshot(new URL(`${server.url}/booted`), { lazy: true }));
    await server.close();
    expect(came).toEqual(expected);
  });
});

describe("a snapshot in a directory of the browser's", () => {
  const memory = imageOf([memslot(0, 0, 64)], [[1, 7]]);
  beforeAll(async () => {
    await writeSnapshot(join(folder, "parent"), { state: 1, memory });
    await writeSnapshot(join(folder, "child"), { state: 2, memory, parent: join(folder, "parent") });
  });

  it("has its parents in the directory around it", async () => {
    const child = directory(join(folder, "child"), "child");
    const snapshot = await loadSnapshot(child, { around: directory(folder) });
    expect(snapshot.state).toBe(2);
    await snapshot.close();
  });

  it("is refused if its parents are not to be found", async () => {
    const child = directory(join(folder, "child"), "child");
    await expect(loadSnapshot(child)).rejects.toMatchObject({ name: "SnapshotError", code: "parent" });
    const around = directory(join(folder, "child"));
    await expect(loadSnapshot(child, { around })).rejects.toMatchObject({ code: "parent" });
  });

  it("is not there without its files", async () => {
    await expect(loadSnapshot(directory(folder))).rejects.toMatchObject({
      name: "SnapshotError",
      code: "absent",
      message: expect.stringContaining("picked/snapshot is not there"),
    });
  });

  it("is none if a folder has the name of a file", async () => {
    const around: SnapshotDirectory = {
      ...directory(folder),
      getFileHandle: () => directory(folder).getFileHandle("booted"),
    };
    await expect(loadSnapshot(around)).rejects.toMatchObject({ code: "foreign" });
  });

  it("that the user does not let the page see is told as the browser does", async () => {
    const hidden: SnapshotDirectory = {
      ...directory(booted),
      getFileHandle: () => Promise.reject(new DOMException("not allowed", "NotAllowedError")),
    };
    await expect(loadSnapshot(hidden)).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("not allowed"),
    });
  });

  it("that changes while its memory arrives ends the machine", async () => {
    const snapshot = await loadSnapshot(directory(booted), { lazy: true });
    const machine = await createMachine({ snapshot });
    changed = true;
    expect(await machine.run()).toMatchObject({ reason: "internal-error", error: { code: "io" } });
    await snapshot.close();
  });
});
