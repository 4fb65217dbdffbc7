import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CpioEntry, CpioError, ensureGuests, packCpio } from "../src/index.js";
import { exists } from "../src/process.js";

const bytes = (text: string) => new TextEncoder().encode(text);
const dir = (path: string): CpioEntry => ({ path, type: "directory" });
const file = (path: string, text: string): CpioEntry => ({ path, type: "file", data: bytes(text) });
const TREE: readonly CpioEntry[] = [
  dir("bin"),
  file("bin/a", "hello"),
  { path: "bin/sh", type: "symlink", target: "a" },
  file("init", ""),
];

/** A second, independent reading of the format: name -> fields of each member. */
function readNewc(
  archive: Uint8Array,
): { name: string; mode: number; mtime: number; uid: number; ino: number; data: string }[] {
  const text = Buffer.from(archive).toString("latin1");
  const members = [];
  for (let at = 0; ; ) {
    expect(text.slice(at, at + 6)).toBe("070701");
    const field = (index: number) => Number.parseInt(text.slice(at + 6 + 8 * index, at + 14 + 8 * index), 16);
    const name = text.slice(at + 110, at + 110 + field(11) - 1);
    const dataAt = (at + 110 + field(11) + 3) & ~3;
    const data = text.slice(dataAt, dataAt + field(6));
    if (name === "TRAILER!!!") return members;
    members.push({ name, mode: field(1), mtime: field(5), uid: field(2), ino: field(0), data });
    at = (dataAt + field(6) + 3) & ~3;
  }
}

describe("packCpio", () => {
  it("sorts members by path, whatever order they are given in", () => {
    expect(readNewc(packCpio(TREE)).map((member) => member.name)).toEqual(["bin", "bin/a", "bin/sh", "init"]);
    expect(packCpio([...TREE].reverse())).toEqual(packCpio(TREE));
  });

  it("gives every member time stamp 0, owner root and an inode of its own", () => {
    const members = readNewc(packCpio(TREE));
    expect(members.map(({ mtime, uid }) => ({ mtime, uid }))).toEqual(members.map(() => ({ mtime: 0, uid: 0 })));
    expect(new Set(members.map((member) => member.ino)).size).toBe(members.length);
  });

  it("records the type in the mode, file content and link target as data", () => {
    expect(readNewc(packCpio(TREE)).map(({ mode, data }) => [mode.toString(8), data])).toEqual([
      ["40755", ""],
      ["100644", "hello"],
      ["120777", "a"],
      ["100644", ""],
    ]);
  });

  it("round-trips any content and permission bits", () => {
    const member = fc.record({ data: fc.uint8Array({ maxLength: 40 }), mode: fc.integer({ min: 0, max: 0o7777 }) });
    fc.assert(
      fc.property(fc.array(member, { maxLength: 8 }), (members) => {
        const archive = packCpio(
          members.map(({ data, mode }, index) => ({ path: `f${index}`, type: "file", data, mode })),
        );
        expect(archive.length % 512).toBe(0);
        expect(readNewc(archive).map(({ data, mode }) => ({ data, mode }))).toEqual(
          members.map(({ data, mode }) => ({ data: Buffer.from(data).toString("latin1"), mode: 0o100000 | mode })),
        );
      }),
    );
  });

  it("unpacks with a cpio of others to the same tree", async ({ skip }) => {
    const into = mkdtempSync(join(tmpdir(), "vm-cpio-"));
    const found = await cpioProgram(into);
    if (found === null) return skip("there is no cpio here, nor an apt-get to fetch one");
    const [program, args] = found;
    execFileSync(program, [...args, "-i", "-d"], {
      cwd: into,
      input: packCpio(TREE),
      stdio: ["pipe", "ignore", "ignore"],
    });
    expect(readFileSync(join(into, "bin/a"), "utf8")).toBe("hello");
    expect(readlinkSync(join(into, "bin/sh"))).toBe("a");
    expect(statSync(join(into, "init")).size).toBe(0);
  });

  it.each([
    ["an absolute path", [file("/init", "")], /relative components/],
    ["a path that climbs", [file("../init", "")], /relative components/],
    ["a member given twice", [file("a", ""), file("a", "")], /given twice/],
    ["a member whose directory is missing", [file("bin/a", "")], /"bin" is not a member/],
  ])("refuses %s", (_what, entries, message) => {
    expect(() => packCpio(entries)).toThrow(CpioError);
    expect(() => packCpio(entries)).toThrow(message);
  });
});

/** A cpio that is not ours: that of its own package, or that of the guests' busybox, copied into `dir`. Null where there is none. */
async function cpioProgram(dir: string): Promise<readonly [string, readonly string[]] | null> {
  if (await exists("cpio")) return ["cpio", []];
  if (!(await exists("apt-get"))) return null;
  const busybox = join(dir, "busybox");
  copyFileSync((await ensureGuests()).busybox, busybox);
  chmodSync(busybox, 0o755);
  return [busybox, ["cpio"]];
}
