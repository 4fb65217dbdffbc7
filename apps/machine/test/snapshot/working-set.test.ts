import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createMachine, type Machine, type MachineSnapshot } from "../../src/index.js";
import { loadSnapshot, saveSnapshot, saveWorkingSet } from "../../src/node.js";
import { SnapshotError } from "../../src/snapshot/error.js";
import { LIMITS } from "../../src/snapshot/layout.js";
import { FolderSource } from "../../src/snapshot/node/folder-source.js";
import { writeSnapshot } from "../../src/snapshot/node/write.js";
import { Snapshot } from "../../src/snapshot/snapshot.js";
import type { SnapshotFile } from "../../src/snapshot/source.js";
import { decodeWorkingSet, encodeWorkingSet } from "../../src/snapshot/working-set.js";
import { ENGINE, transcript } from "../guest.js";
import { run } from "../td/in-process.js";
import { imageOf, memslot } from "./guest-memory.js";
import { RangedServer } from "./ranged-server.js";
import { temporaryFolder } from "./temporary-folder.js";

const folder = temporaryFolder();
const [AT, TYPED] = [9000, "echo one\necho two\nexit 3\n"];
const booted = join(folder, "booted");
const file = join(booted, "working-set");
let server: RangedServer;
let taken: MachineSnapshot;
/** What the rest of the run comes to. */
let expected: unknown;

/** Chunks that somebody had to wait for. */
function waitedFor(machine: Machine): number {
  const { demanded = 0, atOnce = 0 } = machine.stats().lateMemory ?? {};
  return demanded - atOnce;
}

/** The rest of the run of a saved machine, and what of its memory was needed. */
async function rest(place: string, options: { readonly readAhead?: boolean } = {}) {
  const snapshot = await loadSnapshot(place, { lazy: true, ...options });
  const machine = await createMachine({ snapshot });
  const text = transcript(machine);
  const before = waitedFor(machine);
  const end = await machine.run();
  const waited = waitedFor(machine) - before;
  const { lateMemory, instructions } = machine.stats();
  await snapshot.close();
  return { snapshot, machine, lateMemory, waited, came: { end, instructions, text: text.text } };
}

const demandedOf = ({ machine }: Awaited<ReturnType<typeof rest>>): readonly number[] =>
  machine.memory.residency?.demanded ?? [];

beforeAll(async () => {
  const machine = await createMachine({ clock: "icount", memory: 16 << 20, ...ENGINE });
  machine.console.write(TYPED);
  taken = await machine.snapshot({ at: AT, stop: true });
  await saveSnapshot(booted, taken);
  server = await new RangedServer(folder).listen();
  expected = (await rest(booted, { readAhead: false })).came;
});
afterAll(() => server.close());

describe("a working set", () => {
  it("is recorded in the order in which memory was needed, and read ahead the next time", async () => {
    const first = await rest(`${server.url}/booted`);
    const demanded = demandedOf(first);
    expect(first.lateMemory).toMatchObject({ demanded: demanded.length, atOnce: 0 });
    await saveWorkingSet(file, first.snapshot, first.machine);
    const { version, snapshot, chunks } = JSON.parse(readFileSync(file, "utf8"));
    expect({ version, snapshot, chunks }).toEqual({ version: 1, snapshot: first.snapshot.id, chunks: demanded });

    server.requests.length = 0;
    const second = await rest(`${server.url}/booted`);
    expect(second.came).toEqual(expected);
    expect(demandedOf(second)).toEqual(demanded);
    // Its first byte tells its size; all of the working set is so close together that it is one request.
    expect(server.requests.filter((request) => request.startsWith("booted/chunks-1"))).toEqual([
      "booted/chunks-1 0+1",
      expect.stringMatching(/^booted\/chunks-1 \d+\+\d+$/),
    ]);
  });

  it("gives what has come at once, and checked, where files cannot be read at once", async () => {
    const reads: number[] = [];
    const open = async (name: string): Promise<SnapshotFile> => {
      const bytes = readFileSync(join(booted, name));
      const read = async (offset: number, dst: Uint8Array): Promise<number> => {
        if (name !== "snapshot") reads.push(offset);
        dst.set(bytes.subarray(offset, offset + dst.length));
        return dst.length;
      };
      return { size: bytes.length, read, close: async () => undefined };
    };
    const snapshot = await Snapshot.read({ name: "memory", open, beside: () => expect.unreachable() });
    const whole = await Snapshot.read(new FolderSource(booted));
    const [chunk = 0, ...others] = snapshot.chunks;
    expect(snapshot.readChunkNow(chunk)).toBeNull();
    snapshot.readAhead([chunk, ...others]);
    await new Promise(setImmediate);
    for (const each of snapshot.chunks) expect(snapshot.readChunkNow(each)).toEqual(whole.readChunkNow(each));
    expect(reads).toEqual([0]);
    expect(snapshot.readChunkNow(chunk)).toBeNull();
    expect(await snapshot.readChunk(chunk)).toEqual(await whole.readChunk(chunk));
    await whole.close();
  });

  it("leads to the same run from a folder", async () => {
    const { came, lateMemory, waited } = await rest(booted);
    expect(came).toEqual(expected);
    expect(lateMemory?.atOnce).toBeGreaterThan(0);
    expect(waited).toBe(0);
  });

  it("is not asked for by who does not read ahead", async () => {
    server.requests.length = 0;
    await rest(`${server.url}/booted`, { readAhead: false });
    await (await loadSnapshot(`${server.url}/booted`)).close();
    expect(server.requests.filter((request) => request.includes("working-set"))).toEqual([]);
  });

  it("need not be there, nor be said not to be", async () => {
    const place = join(folder, "bare");
    await saveSnapshot(place, taken);
    for (const status of [404, 403]) {
      server.absent = status;
      expect((await rest(`${server.url}/bare`)).came).toEqual(expected);
    }
    server.absent = 404;
    expect((await rest(place)).came).toEqual(expected);
  });

  it("that cannot be read ahead is read when the guest needs it", async () => {
    let refused = 0;
    server.answer = (request) => {
      const isFirst = request.file.endsWith("chunks-1") && request.to > 0 && refused++ === 0;
      if (isFirst) request.response.writeHead(418).end();
      else server.send(request);
    };
    const { came } = await rest(`${server.url}/booted`);
    server.answer = (request) => server.send(request);
    expect(came).toEqual(expected);
    expect(refused).toBeGreaterThan(1);
  });

  it("goes when another snapshot takes the place of its own", async () => {
    const other = join(folder, "other");
    const memory = imageOf([memslot(0, 0, 64)], [[1, 7]]);
    const { id } = await writeSnapshot(other, { state: 1, memory });
    writeFileSync(join(other, "working-set"), encodeWorkingSet({ snapshot: id, chunks: [0] }));
    await (await loadSnapshot(other, { lazy: true })).close();
    await writeSnapshot(other, { state: 2, memory });
    await (await loadSnapshot(other, { lazy: true })).close();
    expect(() => readFileSync(join(other, "working-set"))).toThrow("ENOENT");
  });

  it("is none of a machine that had all of its memory", async () => {
    const snapshot = await loadSnapshot(booted);
    const machine = await createMachine({ snapshot });
    await expect(saveWorkingSet(file, snapshot, machine)).rejects.toMatchObject({ code: "option" });
    await snapshot.close();
  });
});

describe("a file working-set", () => {
  const owner = { id: "ab".repeat(32), chunks: Uint32Array.of(1, 5, 9) };
  const source = { name: "booted", open: () => expect.unreachable(), beside: () => expect.unreachable() };
  const decode = (bytes: Uint8Array): readonly number[] => decodeWorkingSet(bytes, source, owner);
  const text = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
  const good = { version: 1, snapshot: owner.id, chunks: [9, 1] };

  it("is read as it was written", () => {
    expect(decode(encodeWorkingSet({ snapshot: owner.id, chunks: [9, 1] }))).toEqual([9, 1]);
    expect(decode(text({ ...good, more: "of a later minor version" }))).toEqual([9, 1]);
  });

  const bad: readonly [string, unknown, string][] = [
    ["of another snapshot", { ...good, snapshot: "cd".repeat(32) }, "foreign"],
    ["of a newer version", { ...good, version: 2 }, "newer"],
    ["of no version", { ...good, version: "1" }, "corrupt"],
    ["of a version that never was", { ...good, version: 0 }, "corrupt"],
    ["with a chunk that the snapshot has not", { ...good, chunks: [1, 2] }, "range"],
    ["with a chunk that is none", { ...good, chunks: ["1"] }, "range"],
    ["with a chunk twice", { ...good, chunks: [1, 5, 1] }, "range"],
    ["without chunks", { ...good, chunks: null }, "corrupt"],
    ["with more chunks than there can be", { ...good, chunks: new Array(LIMITS.chunks + 1).fill(1) }, "limit"],
    ["that is a number", 7, "corrupt"],
    ["that is nothing", null, "corrupt"],
  ];
  it.each(bad)("%s is refused", (_, value, code) => {
    expect(() => decode(text(value))).toThrow(
      expect.objectContaining({ name: "SnapshotError", code, message: expect.stringContaining("booted/working-set") }),
    );
  });

  it("of any bytes is read or refused", () => {
    const bytes = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => new TextEncoder().encode(json)),
    );
    fc.assert(
      fc.property(bytes, (bytes) => {
        try {
          decode(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SnapshotError);
        }
      }),
    );
  });

  it.each<[string, (file: string) => void, string]>([
    ["that is too long", (file) => truncateSync(file, LIMITS.workingSet + 1), "limit"],
    ["of another snapshot", (file) => writeFileSync(file, text(good)), "foreign"],
    ["that is cut off", (file) => truncateSync(file, 20), "corrupt"],
  ])("%s keeps the snapshot from being opened lazily", async (name, spoil, code) => {
    const place = join(folder, name);
    await saveSnapshot(place, taken);
    writeFileSync(join(place, "working-set"), readFileSync(file));
    spoil(join(place, "working-set"));
    await expect(loadSnapshot(place, { lazy: true })).rejects.toMatchObject({ name: "SnapshotError", code });
    await expect(loadSnapshot(`${server.url}/${name}`, { lazy: true })).rejects.toMatchObject({ code });
    await (await loadSnapshot(place)).close();
  });

  it("that is a link, or a folder, is not followed", async () => {
    const place = join(folder, "linked");
    await saveSnapshot(place, taken);
    symlinkSync(file, join(place, "working-set"));
    await expect(loadSnapshot(place, { lazy: true })).rejects.toMatchObject({ code: "foreign" });
    const other = join(folder, "with a folder");
    await saveSnapshot(other, taken);
    mkdirSync(join(other, "working-set"));
    await expect(loadSnapshot(other, { lazy: true })).rejects.toMatchObject({ code: "foreign" });
  });
});

describe("vm boot --record-working-set", () => {
  const recorded = join(folder, "recorded");

  it("writes what was needed when the machine has ended", async () => {
    const told = await run("boot", "--snapshot", booted, "--lazy", "--record-working-set", recorded, "--timeout", "20");
    expect(told).toMatchObject({ status: 3 });
    expect(readFileSync(recorded)).toEqual(readFileSync(file));
  });

  it.each<[string, string[], RegExp]>([
    ["without --snapshot", ["--builtin", "--record-working-set", recorded], /needs --snapshot and --lazy/],
    ["without --lazy", ["--snapshot", booted, "--record-working-set", recorded], /--record-working-set needs --lazy/],
    [
      "where no file can be",
      ["--snapshot", booted, "--lazy", "--record-working-set", join(folder, "none", "x"), "--timeout", "20"],
      /--record-working-set: .*x cannot be written/,
    ],
  ])("%s is one sentence", async (_, args, message) => {
    const { status, stderr } = await run("boot", ...args);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
