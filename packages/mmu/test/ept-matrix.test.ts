/**
 * EPT violations and misconfigurations, exhaustively: the cases that kvm-unit-tests has as `ept_access_*`, here for the walk that the TDP MMU uses and written
 * from SDM 3C 29.3.
 */
import { describe, expect, test } from "vitest";
import { Ept, type EptFeatures, indexAt, Qualification } from "../src/tdp/ept.js";
import { EptExit, EptWalker } from "../src/tdp/ept-walk.js";

const { R, W, X } = Ept;
const WB = Ept.WriteBack;
const GFN = 0x123456789;
const FRAME = 0x54321;
const ALL: EptFeatures = { executeOnly: true, pages2M: true, pages1G: true, accessedDirty: false, maxPhyAddr: 52 };
const AD = { accessedDirty: true };
/** How a guest-physical page is mapped: level of the leaf. */
const SIZES = [
  ["4 KiB", 1],
  ["2 MiB", 2],
  ["1 GiB", 3],
] as const;
const ACCESSES = [
  ["read", R],
  ["write", W],
  ["fetch", X],
] as const;
const { Read, Write, Fetch, LinearValid, Final } = Qualification;
const FINAL = LinearValid | Final;

/** Four levels of tables, tables 1..4 from the top, that map GFN by a leaf of `size` to FRAME, rounded down as the size wants. */
class Tables {
  readonly u32 = new Uint32Array(6 * 1024);

  constructor(
    readonly size: number,
    readonly features: Partial<EptFeatures> = {},
  ) {
    for (let level = 4; level > size; level--) this.set(level, R | W | X | ((6 - level) << 12));
    this.leaf(R | W | X);
  }

  at(level: number): number {
    return (5 - level) * 1024 + indexAt(GFN, level) * 2;
  }

  set(level: number, lo: number, hi = 0): this {
    this.u32[this.at(level)] = lo;
    this.u32[this.at(level) + 1] = hi;
    return this;
  }

  get(level: number): number {
    return this.u32[this.at(level)] as number;
  }

  /** @param bits of the leaf besides its frame, WB and PS */
  leaf(bits: number, hi = 0): this {
    const frame = FRAME - (FRAME % 512 ** (this.size - 1));
    return this.set(this.size, (frame << 12) | WB | (this.size > 1 ? Ept.Large : 0) | bits, hi);
  }

  /** What becomes of an access: "ok", "misconfiguration", or the exit qualification of a violation. */
  access(want: number, how: { walk?: boolean; linear?: boolean } = {}): string | number {
    const walker = new EptWalker(this, { ...ALL, ...this.features });
    const exit = walker.walk(1, 4, GFN, { want, ...how });
    if (exit === EptExit.Misconfiguration) return "misconfiguration";
    if (exit === EptExit.Violation) return walker.qualification;
    const inside = GFN % 512 ** (this.size - 1);
    expect(walker.pfn).toBe(FRAME - (FRAME % 512 ** (this.size - 1)) + inside);
    return "ok";
  }

  /** Of a read, a write and a fetch. */
  all(): (string | number)[] {
    return ACCESSES.map(([, want]) => this.access(want));
  }
}

/** The qualification of a violation by the access `kind` where the entries allow `rights`. */
const violation = (kind: number, rights: number): number => kind | (rights << 3) | FINAL;

describe.each(SIZES)("the rights of a %s page: SDM 3C 29.3.2, 29.3.3", (_, size) => {
  test("1 not present: every access is a violation", () => {
    expect(new Tables(size).leaf(0).all()).toEqual([violation(Read, 0), violation(Write, 0), violation(Fetch, 0)]);
  });

  test("2 read-only", () => {
    expect(new Tables(size).leaf(R).all()).toEqual(["ok", violation(Write, R), violation(Fetch, R)]);
  });

  test("3 write-only is a misconfiguration for every access: 29.3.3.1", () => {
    expect(new Tables(size).leaf(W).all()).toEqual(Array(3).fill("misconfiguration"));
  });

  test("4 read and write", () => {
    expect(new Tables(size).leaf(R | W).all()).toEqual(["ok", "ok", violation(Fetch, R | W)]);
  });

  test("5 execute-only, where the processor has it", () => {
    expect(new Tables(size).leaf(X).all()).toEqual([violation(Read, X), violation(Write, X), "ok"]);
  });

  test("6 execute-only is a misconfiguration where it has not: 29.3.3.1", () => {
    expect(new Tables(size, { executeOnly: false }).leaf(X).all()).toEqual(Array(3).fill("misconfiguration"));
  });

  test("7 read and execute", () => {
    expect(new Tables(size).leaf(R | X).all()).toEqual(["ok", violation(Write, R | X), "ok"]);
  });

  test("8 write and execute is a misconfiguration: 29.3.3.1", () => {
    expect(new Tables(size).leaf(W | X).all()).toEqual(Array(3).fill("misconfiguration"));
  });

  test("9 read, write and execute", () => {
    expect(new Tables(size).leaf(R | W | X).all()).toEqual(["ok", "ok", "ok"]);
  });

  test("10 a right is there if every entry has it; bits 5:3 of the qualification are of all entries: table 28-7", () => {
    for (let level = 4; level > size; level--) {
      for (const rights of [R, R | W, R | X, X]) {
        const tables = new Tables(size);
        tables.set(level, (tables.get(level) & ~Ept.Rwx) | rights);
        for (const [k, [, want]] of ACCESSES.entries()) {
          expect(tables.all()[k]).toBe((rights & want) !== 0 ? "ok" : violation(want, rights));
        }
      }
    }
  });

  test("11 an upper entry that is not present ends the walk: no right is left", () => {
    for (let level = 4; level > size; level--) {
      expect(new Tables(size).set(level, 0).access(R)).toBe(violation(Read, 0));
    }
  });

  test("12 an upper entry that is misconfigured comes before a violation further down", () => {
    for (let level = 4; level > size; level--) {
      const tables = new Tables(size).leaf(0);
      tables.set(level, tables.get(level) & ~R);
      expect(tables.access(R)).toBe("misconfiguration");
    }
  });

  test("13 a violation by an upper entry hides no misconfiguration of the leaf: all entries are read before rights are judged", () => {
    for (let level = 4; level > size; level--) {
      const tables = new Tables(size).leaf(W);
      tables.set(level, tables.get(level) & ~W);
      expect(tables.access(W)).toBe("misconfiguration");
    }
  });

  test("14 a reserved memory type of a leaf is a misconfiguration; the others are not: table 29-6", () => {
    for (let type = 0; type < 8; type++) {
      const tables = new Tables(size);
      tables.set(size, (tables.get(size) & ~Ept.MemoryType) | (type << 3));
      expect(tables.access(R)).toBe([2, 3, 7].includes(type) ? "misconfiguration" : "ok");
    }
  });

  test("15 address bits beyond MAXPHYADDR are reserved, in every entry", () => {
    for (let level = 4; level >= size; level--) {
      for (const [width, bit] of [
        [40, 40],
        [40, 51],
        [51, 51],
      ] as const) {
        const tables = new Tables(size, { maxPhyAddr: width });
        expect(tables.set(level, tables.get(level), 1 << (bit - 32)).access(R)).toBe("misconfiguration");
      }
    }
  });

  test("16 reserved bits of an entry that is not present mean nothing", () => {
    for (let level = 4; level >= size; level--) {
      expect(new Tables(size, { maxPhyAddr: 40 }).set(level, 0xfffff8f8 & ~Ept.Rwx, -1).access(R)).toBe(
        violation(Read, 0),
      );
    }
  });

  test("17 ignored bits are ignored: 11:8 and 62:52 without accessed and dirty flags, and IPAT, and bit 63", () => {
    for (let level = 4; level >= size; level--) {
      const tables = new Tables(size);
      const leaf = level === size;
      expect(tables.set(level, tables.get(level) | 0xf00 | (leaf ? Ept.IgnorePat : 0), 0xfff00000).all()).toEqual([
        "ok",
        "ok",
        "ok",
      ]);
    }
  });

  test("18 without a linear address, bits 8:7 of the qualification are clear: table 28-7", () => {
    expect(new Tables(size).leaf(R).access(W, { linear: false })).toBe(Write | (R << 3));
  });

  test("19 a read-modify-write needs and reports both", () => {
    expect(new Tables(size).leaf(R).access(R | W)).toBe(violation(Read | Write, R));
    expect(new Tables(size).leaf(R | W).access(R | W)).toBe("ok");
  });
});

describe("reserved bits by level: SDM 3C tables 29-1 to 29-6", () => {
  test("20 bits 7:3 of an entry that refers to a PDPT (or to a PML4), bits 6:3 of one that refers to a PD or a PT", () => {
    for (const level of [4, 3, 2]) {
      for (let bit = 3; bit < 8; bit++) {
        const tables = new Tables(1);
        tables.set(level, tables.get(level) | (1 << bit));
        if (bit === 7 && level < 4) continue;
        expect(tables.access(R), `level ${level} bit ${bit}`).toBe("misconfiguration");
      }
    }
  });

  test("21 the frame of a large page is aligned: bits 20:12 of 2 MiB, 29:12 of 1 GiB", () => {
    for (const [size, top] of [
      [2, 20],
      [3, 29],
    ] as const) {
      for (let bit = 12; bit <= top; bit++)
        expect(new Tables(size).leaf(R | (1 << bit)).access(R)).toBe("misconfiguration");
    }
  });

  test("22 2 MiB and 1 GiB pages are misconfigurations where the processor has none: IA32_VMX_EPT_VPID_CAP bits 16, 17", () => {
    expect(new Tables(2, { pages2M: false }).access(R)).toBe("misconfiguration");
    expect(new Tables(3, { pages1G: false }).access(R)).toBe("misconfiguration");
    expect(new Tables(2, { pages1G: false }).access(R)).toBe("ok");
  });
});

describe.each(SIZES)("accesses to guest paging structures in a %s page: SDM 3C 29.3.2, 29.3.5", (_, size) => {
  const walk = { walk: true };

  test("23 not present: the violation has bit 8 clear", () => {
    expect(new Tables(size).leaf(0).access(R, walk)).toBe(Read | LinearValid);
  });

  test("24 not present, with accessed and dirty flags: as a write too, bits 0 and 1 are set", () => {
    expect(new Tables(size, AD).leaf(0).access(R, walk)).toBe(Read | Write | LinearValid);
  });

  test("25 read-only, or read and execute: entries can be read; only marking them is a violation", () => {
    for (const rights of [R, R | X]) {
      expect(new Tables(size).leaf(rights).access(R, walk)).toBe("ok");
      expect(new Tables(size).leaf(rights).access(R | W, walk)).toBe(Read | Write | LinearValid | (rights << 3));
    }
  });

  test("26 read-only, or read and execute, with accessed and dirty flags: reading an entry is a violation already", () => {
    for (const rights of [R, R | X]) {
      expect(new Tables(size, AD).leaf(rights).access(R, walk)).toBe(Read | Write | LinearValid | (rights << 3));
    }
  });

  test("27 writable: no violation, and with accessed and dirty flags the page is dirty", () => {
    for (const rights of [R | W, R | W | X]) {
      expect(new Tables(size).leaf(rights).access(R | W, walk)).toBe("ok");
      const tables = new Tables(size, AD).leaf(rights);
      expect(tables.access(R, walk)).toBe("ok");
      expect(tables.get(size) & (Ept.A | Ept.D)).toBe(Ept.A | Ept.D);
    }
  });
});

test("28 accessed and dirty flags: A in every entry used, D in the leaf by a write; none without the feature: SDM 3C 29.3.5", () => {
  for (const [, size] of SIZES) {
    for (const accessedDirty of [false, true]) {
      const tables = new Tables(size, { accessedDirty });
      const flags = (): number[] =>
        [4, 3, 2, 1].filter((level) => level >= size).map((level) => tables.get(level) & 0x300);
      const upper = Array(4 - size).fill(accessedDirty ? Ept.A : 0);
      tables.access(X);
      expect(flags()).toEqual([...upper, accessedDirty ? Ept.A : 0]);
      tables.access(W);
      expect(flags()).toEqual([...upper, accessedDirty ? Ept.A | Ept.D : 0]);
    }
  }
});
