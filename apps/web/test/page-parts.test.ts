import { describe, expect, it } from "vitest";
import { describeKept, KEPT_DISK, writesName } from "../src/disk-names.js";
import { figures, figuresAtLength, size } from "../src/figures.js";
import { fileKind } from "../src/file-kind.js";
import { type Key, leaveKey } from "../src/leave-key.js";
import { writePieces } from "../src/pieces.js";
import { readManifest } from "../src/served-guests.js";
import { Typist } from "../src/typist.js";
import { warmUp } from "../src/warm-up.js";

const head = (at: number, bytes: readonly number[] | string): Uint8Array => {
  const found = new Uint8Array(1024);
  found.set(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes, at);
  return found;
};

describe("a dropped file", () => {
  it.each([
    ["bzImage", "kernel", head(0x202, "HdrS")],
    ["ELF file", "kernel", head(0, "\x7fELF")],
    ["cpio archive", "initrd", head(0, "070701")],
    ["gzip file", "initrd", head(0, [0x1f, 0x8b])],
    ["zstd file", "initrd", head(0, [0x28, 0xb5, 0x2f, 0xfd])],
    ["xz file", "initrd", head(0, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])],
    ["qcow2 image", "image", head(0, "QFI\xfb")],
    ["partitioned disk", "image", head(510, [0x55, 0xaa])],
    ["empty file", "image", new Uint8Array(0)],
  ])("that is a %s is for the %s", (_, kind, bytes) => {
    expect(fileKind(bytes)).toBe(kind);
  });
});

describe("the terminal", () => {
  it("is given output in pieces, and says once that all of it is shown", () => {
    const pieces: Uint8Array[] = [];
    let shown = 0;
    const write = (piece: string | Uint8Array, taken?: () => void): void => {
      pieces.push(piece as Uint8Array);
      taken?.();
    };
    const bytes = Uint8Array.from({ length: 5000 }, (_, k) => k % 251);
    writePieces({ write }, bytes, () => shown++);
    expect(shown).toBe(1);
    expect(pieces.map(({ length }) => length)).toEqual([1024, 1024, 1024, 1024, 904]);
    expect(pieces.flatMap((piece) => [...piece])).toEqual([...bytes]);
    writePieces({ write }, bytes.subarray(0, 1024), () => shown++);
    expect([shown, pieces.length]).toEqual([2, 6]);
  });

  it("has drawn every letter, and is empty, before a guest writes", async () => {
    const log: string[] = [];
    let draw = (): void => undefined;
    const warm = warmUp({
      write: (text) => log.push(String(text)),
      reset: () => log.push("reset"),
      onRender: (drawn) => {
        draw = () => drawn({ start: 0, end: 0 });
        return { dispose: () => log.push("heard") };
      },
    });
    expect(log).toEqual([expect.stringContaining(' !"#$%')]);
    expect(log[0]).toHaveLength("\x1b[8m".length + 95 + "\x1b[m".length);
    draw();
    await warm;
    expect(log.slice(1)).toEqual(["heard", "reset"]);
  });
});

describe("the typist", () => {
  it("hands over a piece at a time, all bytes in order, however much there is", () => {
    const pieces: Uint8Array[] = [];
    const typist = new Typist((bytes) => pieces.push(bytes));
    const typed = Uint8Array.from({ length: 100_000 }, (_, k) => k % 251);
    typist.type(typed.slice(0, 99_999));
    expect(pieces.length).toBe(1);
    typist.type(typed.slice(99_999));
    expect(pieces.length).toBe(1);
    for (let had = 0; had < pieces.length; ) {
      had = pieces.length;
      expect(pieces.at(-1)?.length).toBeLessThanOrEqual(16 * 1024);
      typist.hungry();
    }
    expect(Buffer.concat(pieces).equals(typed)).toBe(true);
  });

  it("hands over at once when the guest has been hungry before", () => {
    const pieces: Uint8Array[] = [];
    const typist = new Typist((bytes) => pieces.push(bytes));
    typist.type(Uint8Array.of(1));
    typist.hungry();
    typist.type(Uint8Array.of(2));
    expect(pieces.map(([byte]) => byte)).toEqual([1, 2]);
  });
});

describe("Ctrl and Alt", () => {
  const down = (key: string, ctrlKey: boolean, altKey: boolean): Key => ({ type: "keydown", key, ctrlKey, altKey });
  const up = (key: string, ctrlKey = false, altKey = false): Key => ({ type: "keyup", key, ctrlKey, altKey });
  const left = (...events: readonly Key[]): number => events.map(leaveKey()).filter(Boolean).length;

  it("together, then released, leave the terminal once", () => {
    expect(left(down("Control", true, false), down("Alt", true, true), up("Alt", true), up("Control"))).toBe(1);
    expect(left(down("Alt", false, true), down("Control", true, true), up("Alt", true), up("Control"))).toBe(1);
  });

  it("do not when another key was pressed with them", () => {
    expect(left(down("Control", true, false), down("Alt", true, true), down("t", true, true), up("t"), up("Alt"))).toBe(
      0,
    );
  });

  it("do not alone, nor does AltGr, which says it is both", () => {
    expect(left(down("Control", true, false), up("Control"), down("Alt", false, true), up("Alt"))).toBe(0);
    expect(left(down("Control", true, false), down("AltGraph", true, true), up("Control"), up("AltGraph"))).toBe(0);
  });
});

describe("the server's guests", () => {
  it("are those of its manifest, with addresses relative to it", () => {
    const guests = [{ id: "a", name: "A", kernel: "k", initrd: "../i" }];
    expect(readManifest({ guests }, "https://host/x/guests/manifest.json")).toEqual([
      { id: "a", name: "A", kernel: "https://host/x/guests/k", initrd: "https://host/x/i" },
    ]);
  });

  it.each([
    null,
    3,
    {},
    { guests: 3 },
    { guests: [null, 3, { id: "a", name: "A", kernel: "k" }, { id: "", name: 1 }] },
  ])("of %j are none", (manifest) => {
    expect(readManifest(manifest, "https://host/")).toEqual([]);
  });
});

describe("what is kept", () => {
  it("over an image is found by the same file, unchanged", () => {
    const file = { name: "a/b, c.img", size: 5, lastModified: 7 };
    const name = writesName(file);
    expect(name).not.toContain("/");
    expect(new Set([name, writesName({ ...file, size: 6 }), writesName({ ...file, lastModified: 8 })]).size).toBe(3);
    expect(describeKept(name)).toBe("written over a/b, c.img");
  });

  it("otherwise has its own name", () => {
    expect([describeKept(KEPT_DISK), describeKept("other")]).toEqual(["the page's disk", "other"]);
  });
});

describe("figures", () => {
  it("have three digits and a unit", () => {
    const pulses = [0.012, 1.25, 12.34, 234.5].map((mips) => figures({ mips, speed: 200, touched: 3 * 2 ** 20 }));
    expect(pulses).toEqual(["0.01 MIPS · 3 MiB", "1.25 MIPS · 3 MiB", "12.3 MIPS · 3 MiB", "235 MIPS · 3 MiB"]);
    expect(figuresAtLength({ mips: 1, speed: 200, touched: 2 ** 30 })).toBe(
      "1.00 million instructions in the last second, 200 million a second while the guest is busy, 1 GiB of its memory touched",
    );
  });

  it.each([
    [100 * 1024, "0.1 MiB"],
    [2.5 * 2 ** 20, "2.5 MiB"],
    [80.4 * 2 ** 20, "80 MiB"],
    [1.5 * 2 ** 30, "1.5 GiB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(size(bytes)).toBe(text);
  });
});
