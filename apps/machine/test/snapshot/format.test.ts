import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hexOf, sha256 } from "../../src/snapshot/digest.js";
import { SnapshotError } from "../../src/snapshot/error.js";
import { CHUNK_BYTES, LIMITS } from "../../src/snapshot/layout.js";
import { lockFolder } from "../../src/snapshot/node/folder-lock.js";
import { openSnapshot } from "../../src/snapshot/node/open.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import type { Snapshot } from "../../src/snapshot/snapshot.js";
import { nodeUnpack, portableUnpack } from "../../src/snapshot/unpack.js";
import { decodeValue, encodeValue } from "../../src/snapshot/value-codec.js";
import { CRAFTED_CHUNK, craft } from "./craft.js";
import { chunkWith, imageOf, memslot, PAGES } from "./guest-memory.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();
let made = 0;
/** A path where nothing is yet. */
const fresh = (): string => join(folder, `s${++made}`);
const SLOTS = [memslot(0, 0, 64)];
/** Pages of three chunks, one of them zero. */
const IMAGE = imageOf(SLOTS, [
  [1, 7],
  [17, 0],
  [63, 9],
]);

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => null,
    (error: unknown) => error,
  );
  if (!(error instanceof SnapshotError)) throw new Error(`no SnapshotError: ${String(error)}`);
  return error.code;
}

async function opened<T>(path: string, look: (snapshot: Snapshot) => T | Promise<T>): Promise<T> {
  const snapshot = await openSnapshot(path);
  try {
    return await look(snapshot);
  } finally {
    await snapshot.close();
  }
}

describe("a snapshot", () => {
  it("gives back what was written", async () => {
    const path = fresh();
    const state = {
      text: "ä€😀",
      small: -1,
      large: 2 ** 53 - 1,
      real: 0.1,
      wide: 0xffff_ffff_ffff_ffffn,
      low: -(2n ** 63n),
      none: null,
      yes: true,
      list: [1, [2, { deep: "x".repeat(300) }]],
      bytes: Uint8Array.of(0, 255, 1),
    };
    const { id, storedBytes } = await writeSnapshot(path, { meta: { made: "here" }, state, memory: IMAGE });
    await opened(path, async (snapshot) => {
      expect(snapshot.state).toEqual(state);
      expect(snapshot.meta).toEqual({ made: "here" });
      expect(snapshot.id).toBe(id);
      expect(snapshot.totalBytes).toBe(64 * 4096);
      expect(snapshot.memslots).toEqual([{ ...SLOTS[0], readonly: false, hugepages: false, dirtyLog: false }]);
      expect([...snapshot.chunks]).toEqual([0, 3]);
      expect(await snapshot.readChunk(0)).toEqual(chunkWith({ 1: 7 }));
      expect(await snapshot.readChunk(snapshot.chunkOf(17 * 4096))).toEqual(new Uint8Array(CHUNK_BYTES));
      expect(await snapshot.readChunk(3)).toEqual(chunkWith({ 15: 9 }));
      expect(snapshot.storedBytes).toBe(storedBytes);
      await snapshot.verify();
    });
    const files = readdirSync(path);
    expect(files.sort()).toEqual(["chunks-1", "snapshot"]);
    expect(files.reduce((sum, name) => sum + statSync(join(path, name)).size, 0)).toBe(storedBytes);
  });

  it("of the same contents is the same bytes", async () => {
    const [a, b] = [fresh(), fresh()];
    for (const path of [a, b]) await writeSnapshot(path, { state: 1, memory: IMAGE });
    for (const name of ["snapshot", "chunks-1"])
      expect(readFileSync(join(a, name))).toEqual(readFileSync(join(b, name)));
  });

  it("leaves out properties that are undefined", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: { a: undefined, b: 1 }, memory: IMAGE });
    expect(await opened(path, ({ state }) => state)).toEqual({ b: 1 });
  });

  it("stores no chunk of zeros, and equal chunks once", async () => {
    const path = fresh();
    const pages = Array.from({ length: 40 }, (_, chunk) => [chunk * PAGES, chunk < 20 ? 5 : 0] as const);
    await writeSnapshot(path, { state: null, memory: imageOf([memslot(0, 0, 40 * PAGES)], pages) });
    await opened(path, async (snapshot) => {
      expect(snapshot.chunks.length).toBe(20);
      const [first, last] = [snapshot.rangeOf(0), snapshot.rangeOf(19)];
      expect(first).toEqual(last);
      expect(statSync(join(path, "chunks-1")).size).toBe(first?.length);
      expect(await snapshot.readChunk(19)).toEqual(chunkWith({ 0: 5 }));
      expect(snapshot.rangeOf(20)).toBeNull();
    });
  });

  it("has each chunk in one range of one file, under the SHA-256 of its bytes", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: null, memory: IMAGE });
    await opened(path, async (snapshot) => {
      for (const chunk of snapshot.chunks) {
        const range = snapshot.rangeOf(chunk);
        if (range === null) throw new Error("not stored");
        const packed = readFileSync(join(path, range.file)).subarray(range.offset, range.offset + range.length);
        expect(portableUnpack(range.codec, packed)).toEqual(await snapshot.readChunk(chunk));
      }
    });
  });

  it("keeps what cannot be made smaller as it is", async () => {
    const path = fresh();
    const packer = { codec: "deflate", pack: async () => new Uint8Array(CHUNK_BYTES) } as const;
    await writeSnapshot(path, { state: null, memory: IMAGE }, { packer });
    await opened(path, async (snapshot) => {
      expect(snapshot.rangeOf(0)).toMatchObject({ codec: "raw", length: CHUNK_BYTES });
      await snapshot.verify();
    });
  });

  it("may have memslots that no chunk begins or ends with", async () => {
    const path = fresh();
    const slots = [memslot(3, 33, 2), memslot(1, 5, 3)];
    const memory = imageOf(slots, [
      [5, 1],
      [7, 2],
      [34, 3],
    ]);
    await writeSnapshot(path, { state: null, memory });
    await opened(path, async (snapshot) => {
      expect(await snapshot.readChunk(0)).toEqual(chunkWith({ 5: 1, 7: 2 }));
      expect(await snapshot.readChunk(2)).toEqual(chunkWith({ 2: 3 }));
      expect(await codeOf(snapshot.readChunk(1))).toBe("range");
      expect(await codeOf(snapshot.readChunk(0.5))).toBe("range");
    });
  });

  it("is replaced as a whole, and what has it open goes on with the old one", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: "old", memory: IMAGE });
    await opened(path, async (old) => {
      await writeSnapshot(path, { state: "new", memory: imageOf(SLOTS, [[2, 8]]) });
      expect(await old.readChunk(0)).toEqual(chunkWith({ 1: 7 }));
      await old.verify();
    });
    expect(readdirSync(path).sort()).toEqual(["chunks-2", "snapshot"]);
    expect(await opened(path, ({ state }) => state)).toBe("new");
  });

  it("can be open twice, in a folder that nobody may write, which stays as it is", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: 5, memory: IMAGE });
    execFileSync("chmod", ["-R", "a-w", path]);
    const before = readdirSync(path).map((name) => statSync(join(path, name)).mtimeMs);
    await opened(path, async (a) => opened(path, async (b) => Promise.all([a.verify(), b.verify()])));
    expect(readdirSync(path).map((name) => statSync(join(path, name)).mtimeMs)).toEqual(before);
    execFileSync("chmod", ["-R", "u+w", path]);
  });

  it("tells how far it is, and ends when it is told to, with the old one in place", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: "old", memory: IMAGE });
    const seen: number[] = [];
    const stop = new AbortController();
    const reason = new Error("enough");
    const onProgress = (bytes: number): void => {
      seen.push(bytes);
      if (seen.length === 2) stop.abort(reason);
    };
    const work = writeSnapshot(path, { state: "new", memory: IMAGE }, { signal: stop.signal, onProgress });
    await expect(work).rejects.toBe(reason);
    expect(seen).toEqual([CHUNK_BYTES, 2 * CHUNK_BYTES]);
    expect(readdirSync(path).sort()).toEqual(["chunks-1", "snapshot"]);
    expect(await opened(path, ({ state }) => state)).toBe("old");
  });
});

describe("a chain", () => {
  it("stores what no parent has, and reads the rest there", async () => {
    const [a, b, c] = [fresh(), fresh(), fresh()];
    await writeSnapshot(a, { state: "a", memory: IMAGE });
    await writeSnapshot(b, {
      state: "b",
      memory: imageOf(SLOTS, [
        [1, 7],
        [17, 3],
        [63, 9],
      ]),
      parent: a,
    });
    await writeSnapshot(c, {
      state: "c",
      memory: imageOf(SLOTS, [
        [1, 7],
        [17, 3],
        [63, 2],
      ]),
      parent: b,
    });
    await opened(c, async (snapshot) => {
      expect(snapshot.parents.map(({ name }) => join(folder, name))).toEqual([b, a]);
      expect([0, 1, 3].map((chunk) => snapshot.rangeOf(chunk)?.generation)).toEqual([2, 1, 0]);
      expect(await snapshot.readChunk(0)).toEqual(chunkWith({ 1: 7 }));
      expect(await snapshot.readChunk(1)).toEqual(chunkWith({ 1: 3 }));
      expect(await snapshot.readChunk(3)).toEqual(chunkWith({ 15: 2 }));
      await snapshot.verify();
    });
  });

  it("may have 16 parents and no more", async () => {
    const paths = Array.from({ length: LIMITS.parents + 1 }, fresh);
    for (const [k, path] of paths.entries())
      await writeSnapshot(path, { state: k, memory: imageOf(SLOTS, [[0, k + 1]]), parent: paths[k - 1] });
    expect(await opened(paths.at(-1) as string, ({ parents }) => parents.length)).toBe(LIMITS.parents);
    expect(await codeOf(writeSnapshot(fresh(), { state: 0, memory: IMAGE, parent: paths.at(-1) }))).toBe("chain");
  });

  it("is refused if a parent is missing, or is another one", async () => {
    const [a, b] = [fresh(), fresh()];
    await writeSnapshot(a, { state: 1, memory: IMAGE });
    await writeSnapshot(b, { state: 2, memory: IMAGE, parent: a });
    await writeSnapshot(a, { state: 3, memory: IMAGE });
    expect(await codeOf(openSnapshot(b))).toBe("parent");
    rmSync(a, { recursive: true });
    expect(await codeOf(openSnapshot(b))).toBe("parent");
  });

  it("cannot need what it replaces, by whatever name", async () => {
    const [a, b] = [fresh(), fresh()];
    await writeSnapshot(a, { state: 1, memory: IMAGE });
    await writeSnapshot(b, { state: 2, memory: IMAGE, parent: a });
    for (const parent of [a, b]) {
      expect(await codeOf(writeSnapshot(a, { state: 3, memory: IMAGE, parent }))).toBe("chain");
    }
    expect(await opened(b, ({ state }) => state)).toBe(2);
    const elsewhere = join(folder, "elsewhere");
    mkdirSync(elsewhere);
    expect(await codeOf(writeSnapshot(join(elsewhere, "c"), { state: 3, memory: IMAGE, parent: a }))).toBe("parent");
  });

  it("leaves a folder alone that is its parent's link", async () => {
    const [a, b] = [fresh(), fresh()];
    await writeSnapshot(a, { state: 1, memory: IMAGE });
    await writeSnapshot(b, { state: 2, memory: IMAGE, parent: a });
    renameSync(a, `${a}-moved`);
    symlinkSync(`${a}-moved`, a);
    expect(await codeOf(openSnapshot(b))).toBe("foreign");
    expect(await codeOf(writeSnapshot(fresh(), { state: 1, memory: IMAGE, parent: a }))).toBe("foreign");
  });
});

describe("what is no snapshot is refused when read", () => {
  const FILES: readonly (readonly [string, string, (path: string) => void])[] = [
    ["nothing", "absent", () => undefined],
    ["an empty folder", "absent", (path) => mkdirSync(path)],
    ["a file", "foreign", (path) => writeFileSync(path, "")],
    ["a FIFO", "foreign", (path) => execFileSync("mkfifo", [path])],
    ["a folder whose head is a folder", "foreign", (path) => mkdirSync(join(path, "snapshot"), { recursive: true })],
  ];
  it.each(FILES)("%s: %s", async (_, code, make) => {
    const path = fresh();
    make(path);
    expect(await codeOf(openSnapshot(path))).toBe(code);
  });

  it.each(["snapshot", "chunks-1"])("%s as a link, a FIFO, a socket or a device, or missing", async (name) => {
    const path = fresh();
    await writeSnapshot(path, { state: 1, memory: IMAGE });
    const kept = `${path}-kept-${name}`;
    renameSync(join(path, name), kept);
    expect(await codeOf(openSnapshot(path))).toBe("absent");
    for (const make of [
      () => symlinkSync(kept, join(path, name)),
      () => symlinkSync("/dev/zero", join(path, name)),
      () => execFileSync("mkfifo", [join(path, name)]),
    ]) {
      make();
      expect(await codeOf(openSnapshot(path))).toBe("foreign");
      unlinkSync(join(path, name));
    }
  });

  it.each([
    ["snapshot", "size"],
    ["chunks-1", "size"],
  ])("%s cut short or with more behind its end", async (name, code) => {
    const path = fresh();
    await writeSnapshot(path, { state: 1, memory: IMAGE });
    const whole = readFileSync(join(path, name));
    for (const bytes of [whole.subarray(0, -1), Buffer.concat([whole, Buffer.of(0)])]) {
      writeFileSync(join(path, name), bytes);
      expect(await codeOf(openSnapshot(path))).toBe(code);
    }
  });
});

describe("a head that was made to harm is refused", () => {
  const of = async (edit: Parameters<typeof craft>[1]): Promise<string> => {
    const path = fresh();
    craft(path, edit);
    return codeOf(opened(path, (snapshot) => snapshot.verify()));
  };

  it("and the same without harm is not", async () => {
    const path = fresh();
    craft(path, {});
    await opened(path, async (snapshot) => {
      await snapshot.verify();
      expect(await snapshot.readChunk(1)).toEqual(CRAFTED_CHUNK);
    });
  });

  it("from the future", async () => expect(await of({ version: 2 })).toBe("newer"));
  it("from nowhere", async () => expect(await of({ version: 0 })).toBe("corrupt"));
  it("by its magic", async () => expect(await of({ magic: 0x41 })).toBe("foreign"));
  it("of more bytes than there may be", async () => expect(await of({ stateLength: 0xffff_ffff })).toBe("limit"));
  it("of more bytes than there are", async () => expect(await of({ stateLength: 1000 })).toBe("size"));

  it.each([
    ["../../etc", "parent"],
    ["..", "parent"],
    [".", "parent"],
    ["", "parent"],
    ["/etc", "parent"],
    ["a/b", "parent"],
    ["a\\b", "parent"],
    ["c:", "parent"],
    ["%2e%2e", "parent"],
    ["a\0b", "parent"],
    ["x".repeat(256), "parent"],
    ["nobody", "parent"],
  ])("with the parent %j", async (name, code) => {
    expect(await of({ manifest: { parent: { name, id: "0".repeat(64) } } })).toBe(code);
  });

  it("that is its own parent, or its parent's", async () => {
    const [a, b] = [fresh(), fresh()];
    const named = (path: string): { manifest: object } => ({
      manifest: { parent: { name: path.slice(folder.length + 1), id: "0".repeat(64) } },
    });
    craft(a, named(a));
    expect(await codeOf(openSnapshot(a))).toBe("parent");
    craft(a, named(b));
    craft(b, named(a));
    expect(await codeOf(openSnapshot(a))).toBe("parent");
  });

  it.each([
    [{ pack: "../chunks-1" }, "corrupt"],
    [{ pack: "snapshot" }, "corrupt"],
    [{ chunks: 2 ** 32 }, "limit"],
    [{ chunks: -1 }, "corrupt"],
    [{ chunks: 2 }, "corrupt"],
    [{ contents: 0.5 }, "corrupt"],
    [{ memslots: null }, "corrupt"],
    [{ memslots: [null] }, "corrupt"],
    [{ memslots: [] }, "range"],
    [{ memslots: [memslot(0, 0, 1)] }, "range"],
    [{ memslots: [memslot(0, 0, 64), memslot(1, 63, 1)] }, "range"],
    [{ memslots: [memslot(0, 0, 64), memslot(0, 64, 1)] }, "range"],
    [{ memslots: [memslot(-1, 0, 64)] }, "range"],
    [{ memslots: [{ slot: 0, gpa: 1, size: 131072 }] }, "range"],
    [{ memslots: [{ slot: 0, gpa: -4096, size: 1048576 }] }, "range"],
    [{ memslots: [{ slot: 0, gpa: 2 ** 48, size: 4096 }] }, "range"],
    [{ memslots: [{ slot: 0, gpa: 0, size: Number.NaN }] }, "range"],
    [{ memslots: [memslot(0, 0, 2 ** 25)] }, "limit"],
  ])("with the manifest %j", async (manifest, code) => expect(await of({ manifest })).toBe(code));

  it("with more memslots than there may be", async () => {
    const memslots = Array.from({ length: LIMITS.memslots + 1 }, (_, k) => memslot(k, k, 1));
    expect(await of({ manifest: { memslots } })).toBe("limit");
  });

  it.each([
    ["a chunk beyond memory", { chunk: 4 }, "range"],
    ["a chunk that names a content that is not there", { content: 1 }, "corrupt"],
    ["a codec nobody knows", { codec: 9 }, "corrupt"],
    ["a content in a parent, without one", { codec: 0, stored: 0 }, "corrupt"],
    ["a raw content that is no chunk", { codec: 1 }, "corrupt"],
    ["a content of no bytes", { stored: 0 }, "corrupt"],
    ["a content larger than a chunk", { stored: CHUNK_BYTES + 1 }, "corrupt"],
    ["a content beyond its pack", { stored: 60000 }, "size"],
    ["another checksum", { digest: new Uint8Array(32) }, "corrupt"],
  ] as const)("with %s", async (_, entry, code) => expect(await of({ entry })).toBe(code));

  it("with chunks that come twice or do not ascend, or contents that come twice or are of no chunk", async () => {
    expect(await of({ chunkEntries: [1, 0, 1, 0] })).toBe("range");
    expect(await of({ chunkEntries: [2, 0, 1, 0] })).toBe("range");
    expect(await of({ contents: 2 })).toBe("corrupt");
    expect(await of({ chunkEntries: [] })).toBe("corrupt");
  });

  it.each([
    ["deflate", deflateRawSync(new Uint8Array(40 * 2 ** 20))],
    ["deflate", deflateRawSync(new Uint8Array(CHUNK_BYTES + 1))],
    ["deflate", deflateRawSync(new Uint8Array(CHUNK_BYTES - 1))],
    ["deflate", deflateRawSync(new Uint8Array(CHUNK_BYTES)).subarray(0, -2)],
    // A frame that says it has 2^60 bytes, and one whose blocks repeat a byte 128 KiB at a time (RFC 8878).
    ["zstd", Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x10, 3, 0, 16, 0)],
    ["zstd", Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x70, 2, 0, 16, 0, 3, 0, 16, 0)],
  ] as const)("with a %s bomb or a content of another size", async (codec, packed) => {
    for (const unpack of [nodeUnpack(), portableUnpack]) {
      if (unpack === null) throw new Error("not in Node");
      const path = fresh();
      craft(path, { packed, entry: { codec: codec === "deflate" ? 2 : 3 } });
      const snapshot = await openSnapshot(path, { unpack });
      expect(await codeOf(snapshot.readChunk(1))).toBe("corrupt");
      await snapshot.close();
    }
  });

  it("but zstd is read", async () => {
    const path = fresh();
    // A block that repeats 0x41 65536 times.
    const packed = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0x70, 3, 0, 8, 0x41);
    craft(path, { packed, entry: { codec: 3, digest: sha256(new Uint8Array(CHUNK_BYTES).fill(0x41)) } });
    expect(await opened(path, (snapshot) => snapshot.readChunk(1))).toEqual(new Uint8Array(CHUNK_BYTES).fill(0x41));
  });

  it.each([
    ["an array of 2^32 values", [0xdd, 0xff, 0xff, 0xff, 0xff]],
    ["arrays in arrays", new Array(1000).fill(0x91)],
    ["arrays of thousands in each other", new Array(60).fill([0xdc, 0x80, 0x00]).flat()],
    ["text of 4 GiB", [0xdb, 0xff, 0xff, 0xff, 0xff]],
    ["an extension", [0xd4, 1, 0]],
    ["a prototype", [0x81, 0xa9, ...Buffer.from("__proto__"), 0x80]],
    ["a key that is no text", [0x81, 1, 1]],
    ["two values", [1, 1]],
    ["no value", []],
    ["the type that is never used", [0xc1]],
  ])("whose state is %s", async (_, state) => expect(await of({ state: Uint8Array.from(state) })).toBe("corrupt"));
});

describe("what cannot be written is refused, and nothing is made", () => {
  const of = async (contents: object): Promise<string> => {
    const path = fresh();
    const code = await codeOf(writeSnapshot(path, { state: null, memory: IMAGE, ...contents }));
    expect(readdirSync(folder)).not.toContain(path.slice(folder.length + 1));
    return code;
  };

  it.each([
    ["a map", new Map()],
    ["a typed array", new Uint32Array(1)],
    ["undefined in a list", [undefined]],
    ["a function", () => undefined],
    ["a large bigint", 2n ** 64n],
    ["half of a character", "\ud800"],
  ])("%s as state", async (_, value) => {
    expect(await of({ state: { parts: [value] } })).toBe("state");
    expect(await of({ meta: value })).toBe("state");
  });

  it("says where", async () => {
    const work = writeSnapshot(fresh(), { state: { board: [1, { x: new Set() }] }, memory: IMAGE });
    await expect(work).rejects.toThrow(/state\.board\[1\]\.x is a Set/);
  });

  it("a state that is too deep or has too many values", async () => {
    let deep: unknown = null;
    for (let k = 0; k <= LIMITS.depth; k++) deep = [deep];
    expect(await of({ state: deep })).toBe("limit");
    expect(await of({ state: new Array(LIMITS.values).fill(0) })).toBe("limit");
  });

  it.each([
    ["outside of the memslots", imageOf(SLOTS, [[64, 1]])],
    [
      "not ascending",
      imageOf(SLOTS, [
        [3, 1],
        [3, 1],
      ]),
    ],
    ["of memslots that overlap", imageOf([memslot(0, 0, 2), memslot(1, 1, 2)], [])],
  ])("pages %s", async (_, memory) => expect(await of({ memory })).toBe("range"));

  it("what the memory throws is thrown", async () => {
    const failure = new Error("the memslots changed");
    const memory = {
      memslots: SLOTS,
      *pages() {
        yield* IMAGE.pages;
        throw failure;
      },
    };
    const path = fresh();
    const work = writeSnapshot(path, { state: 1, memory: { memslots: SLOTS, pages: memory.pages() } });
    await expect(work).rejects.toBe(failure);
    expect(await codeOf(openSnapshot(path))).toBe("absent");
  });
});

describe("what is no snapshot is not replaced", () => {
  it.each<readonly [string, (path: string) => void]>([
    ["a file", (path) => writeFileSync(path, "mine")],
    ["a link to a snapshot", (path) => symlinkSync(join(folder, "linked"), path)],
    ["a folder with something in it", (path) => (mkdirSync(path), writeFileSync(join(path, "mine"), "mine"))],
    [
      "a folder whose head is something else",
      (path) => (mkdirSync(path), writeFileSync(join(path, "snapshot"), "mine")),
    ],
    [
      "a folder whose head is a link",
      (path) => (mkdirSync(path), symlinkSync(join(folder, "linked/snapshot"), join(path, "snapshot"))),
    ],
  ])("%s", async (_, make) => {
    await writeSnapshot(join(folder, "linked"), { state: 1, memory: IMAGE });
    const path = fresh();
    make(path);
    const before = execFileSync("ls", ["-lR", "--time-style=full-iso", path], { encoding: "utf8" });
    expect(await codeOf(writeSnapshot(path, { state: 1, memory: IMAGE }))).toBe("foreign");
    expect(execFileSync("ls", ["-lR", "--time-style=full-iso", path], { encoding: "utf8" })).toBe(before);
  });

  it("but a damaged snapshot is, and its other files stay", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: 1, memory: IMAGE });
    const bytes = readFileSync(join(path, "snapshot"));
    bytes[40] = (bytes[40] as number) ^ 1;
    writeFileSync(join(path, "snapshot"), bytes);
    writeFileSync(join(path, "notes"), "mine");
    await writeSnapshot(path, { state: 2, memory: IMAGE });
    expect(readdirSync(path).sort()).toEqual(["chunks-2", "notes", "snapshot"]);
    expect(await opened(path, ({ state }) => state)).toBe(2);
  });

  it("links among what a killed write left are removed, and what they lead to stays", async () => {
    const path = fresh();
    mkdirSync(path);
    writeFileSync(join(folder, "precious"), "mine");
    for (const name of ["chunks-7", "snapshot.new"]) symlinkSync(join(folder, "precious"), join(path, name));
    await writeSnapshot(path, { state: 2, memory: IMAGE });
    expect(readdirSync(path).sort()).toEqual(["chunks-8", "snapshot"]);
    expect(readFileSync(join(folder, "precious"), "utf8")).toBe("mine");
  });

  it("one writer at a time, in this process and in others", async () => {
    const path = fresh();
    await writeSnapshot(path, { state: 1, memory: IMAGE });
    const release = await lockFolder(path);
    expect(await codeOf(writeSnapshot(path, { state: 2, memory: IMAGE }))).toBe("busy");
    await release?.();
    const other = spawn("flock", ["-x", path, "sh", "-c", "echo held; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise((resolve) => other.stdout.once("data", resolve));
    expect(await codeOf(writeSnapshot(path, { state: 2, memory: IMAGE }))).toBe("busy");
    other.stdin.end("\n");
    await new Promise((resolve) => other.once("exit", resolve));
    await writeSnapshot(path, { state: 3, memory: IMAGE });
    expect(await opened(path, ({ state }) => state)).toBe(3);
  });

  it("several that begin at once make one whole snapshot, and the others hear why not", async () => {
    const path = fresh();
    const write = (state: number): Promise<string> =>
      writeSnapshot(path, { state, memory: IMAGE }).then(
        () => "done",
        ({ code }: SnapshotError) => code,
      );
    const codes = await Promise.all([1, 2, 3].map(write));
    expect(codes).toContain("done");
    expect(codes.filter((code) => code !== "done" && code !== "busy")).toEqual([]);
    await opened(path, (snapshot) => snapshot.verify());
  });
});

it("a copy of the folder is the same snapshot", async () => {
  const [path, copy] = [fresh(), fresh()];
  const { id } = await writeSnapshot(path, { state: 1, memory: IMAGE });
  cpSync(path, copy, { recursive: true });
  expect(await opened(copy, (snapshot) => snapshot.id)).toBe(id);
  expect(hexOf(readFileSync(join(copy, "snapshot")).subarray(128, 160))).toBe(id);
});

/** What a state may be made of. */
const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double().map((value) => (Object.is(value, -0) ? 0 : value)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
    fc.string({ unit: "grapheme" }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value")),
    fc.dictionary(
      fc.string({ unit: "grapheme" }).filter((key) => key !== "__proto__"),
      tie("value"),
      { noNullPrototype: true },
    ),
  ),
})).value;

it("any value reads back as it was, its integers of the type they had", () => {
  fc.assert(
    fc.property(values, (value) => {
      expect(decodeValue(encodeValue(value, "it", LIMITS.state), "it")).toEqual(value);
    }),
  );
});
