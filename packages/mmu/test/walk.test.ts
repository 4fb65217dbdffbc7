import { describe, expect, test } from "vitest";
import { Access, Licence, Status } from "../src/index.js";
import {
  A,
  CR0_PAGING,
  D,
  entriesOf,
  G,
  LMA,
  longMode,
  map4,
  NXE,
  newMmu,
  P,
  PAE,
  PAGE,
  PF,
  PGE,
  PRIVILEGES,
  PS,
  PSE,
  RW,
  read64,
  SMEP,
  translate,
  US,
  write64,
  XD,
} from "./fixture.js";

const LINEAR = 0xffff_8123_4567_8000n;
const [PML4E, PDPTE, PDE, PTE] = entriesOf(LINEAR);
const RWX = Licence.Read | Licence.Write | Licence.Fetch;

describe("accessed and dirty flags (SDM 4.8)", () => {
  test("a read sets A in every entry it uses and D in none", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P | RW);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Ok);
    expect(read64(mmu, PML4E)).toBe(0x2000n | P | RW | US | A);
    expect(read64(mmu, PDPTE)).toBe(0x3000n | P | RW | US | A);
    expect(read64(mmu, PDE)).toBe(0x4000n | P | RW | US | A);
    expect(read64(mmu, PTE)).toBe(0x9000n | P | RW | A);
  });

  test("a fetch sets A as a read does", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P);
    expect(translate(mmu, longMode(), LINEAR, Access.Fetch)).toBe(Status.Ok);
    expect(read64(mmu, PTE)).toBe(0x9000n | P | A);
  });

  test("a write sets D in the leaf only", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P | RW);
    expect(translate(mmu, longMode(), LINEAR, Access.Write)).toBe(Status.Ok);
    expect(read64(mmu, PDE)).toBe(0x4000n | P | RW | US | A);
    expect(read64(mmu, PTE)).toBe(0x9000n | P | RW | A | D);
  });

  test("an access refused for its rights leaves the leaf alone and A set above it", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P);
    expect(translate(mmu, longMode(), LINEAR, Access.Write | Access.User)).toBe(Status.Fault);
    expect(read64(mmu, PTE)).toBe(0x9000n | P);
    expect(read64(mmu, PDE)).toBe(0x4000n | P | RW | US | A);
  });

  test("an entry that is not present or has a reserved bit set keeps its A", () => {
    for (const bad of [0x9000n, 0x9000n | P | (1n << 45n)]) {
      const mmu = newMmu(16);
      map4(mmu, LINEAR, bad);
      expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Fault);
      expect(read64(mmu, PTE)).toBe(bad);
    }
  });

  test("the write licence is given only when D is set, so that the first write is seen", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P | RW);
    translate(mmu, longMode(), LINEAR, 0);
    expect(mmu.translation.licence).toBe(Licence.Read | Licence.Fetch);
    translate(mmu, longMode(), LINEAR, Access.Write);
    expect(mmu.translation.licence).toBe(RWX);
    translate(mmu, longMode(), LINEAR, 0);
    expect(mmu.translation.licence).toBe(RWX);
  });

  test("page tables in a read-only memslot translate without their A and D being set", () => {
    const mmu = newMmu(0, { arenaPages: 32 });
    mmu.setMemslot({ slot: 1, gpa: 0, size: 8 * PAGE, readonly: true });
    mmu.setMemslot({ slot: 2, gpa: 8 * PAGE, size: 8 * PAGE });
    map4(mmu, LINEAR, 0x9000n | P | RW);
    expect(translate(mmu, longMode(), LINEAR, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation.licence).toBe(RWX);
    expect(read64(mmu, PTE)).toBe(0x9000n | P | RW);
    translate(mmu, longMode(), LINEAR, 0);
    expect(mmu.translation.licence).toBe(Licence.Read | Licence.Fetch);
  });
});

describe("reserved bits (SDM 4.5, tables 4-15 to 4-20)", () => {
  /** The bits that, set in the entry at `level`, fault with RSVD; not tried: address bits of an entry that refers to a table. */
  function reservedBits(level: 1 | 2 | 3 | 4, leafLevel: 1 | 2 | 3, m: number): number[] {
    const found: number[] = [];
    for (let bit = 1; bit < 64; bit++) {
      if (level > leafLevel && bit >= 12 && bit < m) continue;
      const mmu = newMmu(16, { maxPhyAddr: m });
      map4(mmu, LINEAR, (leafLevel === 1 ? 0x9000n : PS) | P | RW | US, leafLevel);
      const gpa = entriesOf(LINEAR)[4 - level] as number;
      write64(mmu, gpa, read64(mmu, gpa) | (1n << BigInt(bit)));
      const status = translate(mmu, longMode(), LINEAR, Access.User);
      if (status === Status.Fault && mmu.translation.errorCode === (PF.P | PF.RSVD | PF.U)) found.push(bit);
    }
    return found;
  }
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test.each([36, 40, 46, 52])("with MAXPHYADDR %i, bits 51:MAXPHYADDR at every level", (m) => {
    const high = m === 52 ? [] : range(m, 51);
    expect(reservedBits(1, 1, m)).toEqual(high);
    expect(reservedBits(2, 2, m)).toEqual([...range(13, 20), ...high]);
    expect(reservedBits(3, 3, m)).toEqual([...range(13, 29), ...high]);
    expect(reservedBits(4, 1, m)).toEqual([7, ...high]);
  });

  test("bit 63 of every entry when IA32_EFER.NXE = 0", () => {
    for (const gpa of entriesOf(LINEAR)) {
      const mmu = newMmu(16);
      map4(mmu, LINEAR, 0x9000n | P | RW | US);
      write64(mmu, gpa, read64(mmu, gpa) | XD);
      expect(translate(mmu, longMode({ efer: LMA }), LINEAR, 0)).toBe(Status.Fault);
      expect(mmu.translation.errorCode).toBe(PF.P | PF.RSVD);
      expect(translate(mmu, longMode({ efer: LMA | NXE }), LINEAR, 0)).toBe(Status.Ok);
    }
  });

  test("in an entry that is not present, no bit is reserved", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0xffff_ffff_ffff_fffen);
    expect(translate(mmu, longMode(), LINEAR, Access.Write)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.W);
  });
});

describe("page-fault error code (SDM 4.7)", () => {
  test("I is set for a fetch only with CR4.SMEP, or with EFER.NXE under PAE entries", () => {
    const mmu = newMmu(16);
    const code = (over: Parameters<typeof longMode>[0]): number => {
      expect(translate(mmu, longMode(over), LINEAR, Access.Fetch)).toBe(Status.Fault);
      return mmu.translation.errorCode;
    };
    expect(code({ efer: LMA | NXE })).toBe(PF.I);
    expect(code({ efer: LMA })).toBe(0);
    expect(code({ efer: LMA, cr4: PAE | SMEP })).toBe(PF.I);
    expect(code({ efer: NXE, cr4: 0 })).toBe(0);
    expect(code({ efer: 0, cr4: SMEP })).toBe(PF.I);
  });
});

describe("large pages", () => {
  test("a 2 MiB page: bits 20:12 of the address select the 4 KiB frame inside it", () => {
    const mmu = newMmu(2048);
    map4(mmu, LINEAR, 0x40_0000n | P | RW | PS, 2);
    expect(translate(mmu, longMode(), LINEAR, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(0x400 + Number((LINEAR >> 12n) & 0x1ffn));
    expect(read64(mmu, PDE)).toBe(0x40_0000n | P | RW | PS | A | D);
  });

  test("a 1 GiB page: bits 29:12 of the address select the 4 KiB frame inside it", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0xc0_4000_0000n | P | RW | PS, 3);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Mmio);
    expect(mmu.translation.gfn).toBe(0xc04_0000 + Number((LINEAR >> 12n) & 0x3ffffn));
  });

  test("bit 12 of a large leaf is PAT, bit 7 of a PTE is PAT: neither is part of the address nor reserved", () => {
    const mmu = newMmu(2048);
    map4(mmu, LINEAR, 0x40_0000n | P | PS | 0x1000n, 2);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(0x400 + Number((LINEAR >> 12n) & 0x1ffn));
    map4(mmu, LINEAR, 0x9000n | P | PS, 1);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(9);
  });
});

describe("global pages", () => {
  test("a translation is global if the leaf has G and CR4.PGE is set; G above the leaf is ignored", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P | G);
    translate(mmu, longMode(), LINEAR, 0);
    expect(mmu.translation.global).toBe(true);
    translate(mmu, longMode({ cr4: PAE }), LINEAR, 0);
    expect(mmu.translation.global).toBe(false);
    map4(mmu, LINEAR, 0x9000n | P);
    write64(mmu, PDE, read64(mmu, PDE) | G);
    translate(mmu, longMode({ cr4: PAE | PGE }), LINEAR, 0);
    expect(mmu.translation.global).toBe(false);
  });
});

describe("CR3", () => {
  test("bits 11:0 (PCID, PCD, PWT) and bits above MAXPHYADDR are no part of the table's address", () => {
    const mmu = newMmu(16);
    map4(mmu, LINEAR, 0x9000n | P);
    expect(translate(mmu, longMode({ cr3Lo: 0x1fff, cr3Hi: 0xffff_ff00 }), LINEAR, 0)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(9);
  });

  test("a table beyond 4 GiB is found", () => {
    const mmu = newMmu(0, { arenaPages: 32 });
    mmu.setMemslot({ slot: 0, gpa: 2 ** 36, size: 8 * PAGE });
    const base = 2 ** 36;
    for (const [i, gpa] of entriesOf(LINEAR).entries()) write64(mmu, base + gpa, BigInt(base + (i + 2) * PAGE) | P);
    expect(translate(mmu, longMode({ cr3Hi: 0x10 }), LINEAR, 0)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(2 ** 24 + 5);
  });
});

describe("page tables where no memory is", () => {
  test("entries read as all ones: a reserved-bit fault", () => {
    const mmu = newMmu(16);
    expect(translate(mmu, longMode({ cr3Lo: 0x10_0000 }), LINEAR, Access.User)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.U | PF.RSVD);
    map4(mmu, LINEAR, 0x9000n | P);
    write64(mmu, PDE, 0x10_0000n | P);
    expect(translate(mmu, longMode(), LINEAR, Access.Write)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.W | PF.RSVD);
  });

  test("a table in memory that was never touched reads as zero and takes no frame", () => {
    const mmu = newMmu(16);
    expect(translate(mmu, longMode(), LINEAR, 0)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(0);
    expect(mmu.touchedFrames).toBe(0);
  });
});

describe("paging off (CR0.PG = 0)", () => {
  test.each(Object.entries(PRIVILEGES))(
    "linear = physical with every licence, whatever CR4 and the access say: %s",
    (_, privilege) => {
      const mmu = newMmu(16);
      const controls = { cr0: 1, cr3Lo: 0x1000, cr3Hi: 0, cr4: PAE | SMEP, efer: NXE, pkru: 0 };
      expect(mmu.translate(controls, 0x7abc, 0, privilege | Access.Write)).toBe(Status.Ok);
      expect(mmu.translation).toMatchObject({ gfn: 7, licence: RWX, global: false, host: mmu.peekFrame(7) });
      expect(mmu.translate(controls, 0xfee0_0000, 0, privilege)).toBe(Status.Mmio);
      expect(mmu.translation.gfn).toBe(0xfee00);
    },
  );
});

describe("legacy PAE paging (SDM 4.4)", () => {
  const controls = { cr0: CR0_PAGING, cr3Lo: 0x1020, cr3Hi: 0, cr4: PAE | PGE, efer: NXE, pkru: 0 };
  const linear = 0xc060_5000;

  test("CR3 bits 31:5 locate four PDPTEs, which have no rights and no A", () => {
    const mmu = newMmu(16);
    write64(mmu, 0x1020 + 3 * 8, 0x2000n | P);
    write64(mmu, 0x2000 + 3 * 8, 0x3000n | P | RW | US);
    write64(mmu, 0x3000 + 5 * 8, 0x9000n | P | RW | US | G | XD);
    expect(mmu.translate(controls, linear, 0, Access.Write | Access.User)).toBe(Status.Ok);
    expect(mmu.translation).toMatchObject({ gfn: 9, licence: Licence.Read | Licence.Write, global: true });
    expect(read64(mmu, 0x1020 + 3 * 8)).toBe(0x2000n | P);
    expect(read64(mmu, 0x2000 + 3 * 8)).toBe(0x3000n | P | RW | US | A);
    expect(mmu.translate(controls, linear, 0, Access.Fetch)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.I);
  });

  test("reserved: 62:MAXPHYADDR in PDEs and PTEs; 2:1, 8:5 and 63:MAXPHYADDR in PDPTEs", () => {
    /** Address bits of an entry that refers to a table are not tried. */
    const faults = (gpa: number): number[] =>
      Array.from({ length: 63 }, (_, i) => i + 1).filter((bit) => {
        if (gpa < 0x3000 && bit >= 12 && bit < 40) return false;
        const mmu = newMmu(16);
        write64(mmu, 0x1020 + 3 * 8, 0x2000n | P);
        write64(mmu, 0x2000 + 3 * 8, 0x3000n | P);
        write64(mmu, 0x3000 + 5 * 8, 0x9000n | P);
        write64(mmu, gpa, read64(mmu, gpa) | (1n << BigInt(bit)));
        return mmu.translate(controls, linear, 0, 0) === Status.Fault && mmu.translation.errorCode === (PF.P | PF.RSVD);
      });
    const high = Array.from({ length: 23 }, (_, i) => 40 + i);
    expect(faults(0x1020 + 3 * 8)).toEqual([1, 2, 5, 6, 7, 8, ...high, 63]);
    expect(faults(0x3000 + 5 * 8)).toEqual(high);
    // Bit 7 makes the PDE a 2 MiB leaf, whose address 0x3000 is not aligned.
    expect(faults(0x2000 + 3 * 8)).toEqual([7, ...high]);
  });
});

describe("32-bit paging (SDM 4.3)", () => {
  const controls = { cr0: CR0_PAGING, cr3Lo: 0x1000, cr3Hi: 0, cr4: PSE | PGE, efer: 0, pkru: 0 };

  test("two levels of 4-byte entries; A above, A and D in the leaf", () => {
    const mmu = newMmu(16);
    mmu.writeU32(0x1000 + 3 * 4, 0x2007);
    mmu.writeU32(0x2000 + 5 * 4, 0x9007);
    expect(mmu.translate(controls, 0x00c0_5123, 0, Access.User | Access.Write)).toBe(Status.Ok);
    expect(mmu.translation).toMatchObject({ gfn: 9, licence: RWX });
    expect(mmu.readU32(0x1000 + 3 * 4)).toBe(0x2027);
    expect(mmu.readU32(0x2000 + 5 * 4)).toBe(0x9067);
  });

  test("with CR4.PSE a 4 MiB leaf whose bits 20:13 are address bits 39:32 and whose bit 21 is reserved", () => {
    const mmu = newMmu(16);
    mmu.writeU32(0x1000 + 3 * 4, 0xab40_0000 | (0x12 << 13) | 0x83);
    expect(mmu.translate(controls, 0x00c0_5123, 0, 0)).toBe(Status.Mmio);
    expect(mmu.translation.gfn).toBe(0x12ab405);
    expect(mmu.readU32(0x1000 + 3 * 4) & 0x60).toBe(0x20);
    mmu.writeU32(0x1000 + 3 * 4, 0xab60_0083);
    expect(mmu.translate(controls, 0x00c0_5123, 0, 0)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.RSVD);
  });

  test.each([
    [32, [13, 14, 15, 16, 17, 18, 19, 20, 21]],
    [36, [17, 18, 19, 20, 21]],
    [40, [21]],
    [52, [21]],
  ])("with MAXPHYADDR %i the reserved bits of a 4 MiB leaf are %j", (maxPhyAddr, reserved) => {
    const found = Array.from({ length: 31 }, (_, i) => i + 1).filter((bit) => {
      const mmu = newMmu(16, { maxPhyAddr });
      mmu.writeU32(0x1000 + 3 * 4, 0xab40_0083 | (1 << bit));
      return (
        mmu.translate(controls, 0x00c0_5123, 0, 0) === Status.Fault && mmu.translation.errorCode === (PF.P | PF.RSVD)
      );
    });
    expect(found).toEqual(reserved);
  });

  test("without CR4.PSE bit 7 of a PDE is ignored", () => {
    const mmu = newMmu(16);
    mmu.writeU32(0x1000 + 3 * 4, 0x2087);
    mmu.writeU32(0x2000 + 5 * 4, 0x9007);
    expect(mmu.translate({ ...controls, cr4: 0 }, 0x00c0_5123, 0, 0)).toBe(Status.Ok);
    expect(mmu.translation.gfn).toBe(9);
  });
});
