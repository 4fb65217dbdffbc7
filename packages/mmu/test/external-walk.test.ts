import { Lockdep, Task, throwReport } from "@vm/lockdep";
import { describe, expect, test } from "vitest";
import {
  Access,
  createRegion,
  ExitFlag,
  type ExternalErrno,
  type ExternalPageTable,
  GuestMemfd,
  Licence,
  MemoryAttribute,
  Mmu,
  type PagingControls,
  Status,
  setMemoryAttributes,
} from "../src/index.js";
import { A, CR0_PAGING, D, LA57, LMA, NXE, newMemory, P, PAE, PAGE, PF, RW, US, XD } from "./fixture.js";

/** Pages of the guest, whose shared memory is user memory; frames behind the arena are private pages that tests put down by hand. */
const PAGES = 16;
const PRIVATE = 2 * PAGES + 1;
const FLAT: PagingControls = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };

/** An S-EPT: frames by guest frame, and those that the guest has not accepted. */
class Sept implements ExternalPageTable {
  readonly frames = new Map<number, number>();
  readonly pending = new Set<number>();
  readonly unwritable = new Set<number>();
  readonly log: string[] = [];

  linkSpt(): null {
    return null;
  }
  setSpte(gfn: number, _level: number, pfn: number): ExternalErrno | null {
    this.log.push(`set ${gfn}`);
    this.frames.set(gfn, pfn);
    this.pending.add(gfn);
    return null;
  }
  removeSpte(gfn: number): void {
    this.frames.delete(gfn);
  }
  freeSpt(): void {
    this.log.push("free");
  }
  walk(gfn: number, want: number): number {
    if (want === Licence.Write && this.unwritable.has(gfn)) return 0;
    return this.pending.has(gfn) ? -1 : (this.frames.get(gfn) ?? 0);
  }
}

/** A TD of so many address bits, the highest of which says shared. */
async function guest(bits: 48 | 52 = 48) {
  const lockdep = new Lockdep({ onReport: throwReport });
  const memory = newMemory(PRIVATE + 8);
  const external = new Sept();
  const sharedFrom = 2 ** (bits - 1) / PAGE;
  const arena = { memory, arenaStart: PAGE, arenaEnd: PRIVATE * PAGE };
  const mmu = new Mmu({ ...arena, maxPhyAddr: bits, lockdep, privateMemory: { external, sharedFrom } });
  const { vm } = mmu;
  const task = new Task(lockdep, "vmm");
  const gmem = GuestMemfd.create(vm, { size: PAGES * PAGE, flags: 0 });
  const userAddr = await vm.mm.mmap(task, { length: PAGES * PAGE });
  await createRegion(task, vm, vm.slots, { slot: 0, gpa: 0, size: gmem.size, userAddr, gmem, offset: 0 });
  const convert = (gfn: number, attributes: number): Promise<void> =>
    setMemoryAttributes(task, vm, { address: gfn * PAGE, size: PAGE, attributes });
  const words = new BigUint64Array(memory.buffer);
  /** Private page tables at frames 1 to 4 that lead linear page `linear` to what `pte` says. */
  const tables = (linear: number, pte: bigint): PagingControls => {
    for (let table = 1; table <= 4; table++) {
      external.frames.set(table, PRIVATE + table);
      words.fill(0n, (PRIVATE + table) * 512, (PRIVATE + table + 1) * 512);
      if (table < 4) words[(PRIVATE + table) * 512] = BigInt((table + 1) * PAGE) | P | RW | US;
    }
    words[(PRIVATE + 4) * 512 + linear] = pte;
    return { ...FLAT, cr0: CR0_PAGING, cr3Lo: 0x1000, cr4: PAE, efer: LMA | NXE | 0x100 };
  };
  const entry = (table: number, index: number): bigint => words[(PRIVATE + table) * 512 + index] as bigint;
  const put = (table: number, index: number, value: bigint): void => {
    words[(PRIVATE + table) * 512 + index] = value;
  };
  return { mmu, task, external, sharedFrom, convert, tables, entry, put };
}

const at = (mmu: Mmu, gfn: number, access = 0): number => mmu.translate(FLAT, gfn * PAGE, 0, access);

describe("private memory behind an external table that translates", () => {
  test("is where that table says, with all rights, whatever the mirror holds", async () => {
    const { mmu, task, external, convert } = await guest();
    await convert(3, MemoryAttribute.Private);
    expect(await mmu.faultIn(task, 3, Licence.Write)).toBe(Status.Ok);
    external.pending.clear();
    expect(at(mmu, 3)).toBe(Status.Ok);
    const mirrored = mmu.translation.host;
    expect(mirrored).toBe((external.frames.get(3) as number) * PAGE);
    external.frames.set(3, PRIVATE);
    expect(at(mmu, 3, Access.Fetch)).toBe(Status.Ok);
    expect(mmu.translation).toMatchObject({ host: PRIVATE * PAGE, gfn: 3, licence: Licence.All });
    external.frames.delete(3);
    expect(at(mmu, 3)).toBe(Status.Exit);
  });

  test("that is not there leaves the guest, maps nothing, and is there once somebody has asked for it", async () => {
    const { mmu, task, external, convert } = await guest();
    await convert(3, MemoryAttribute.Private);
    for (const _ of [0, 1]) {
      expect(at(mmu, 3, Access.Write)).toBe(Status.Exit);
      expect(mmu.translation).toMatchObject({ gfn: 3, errorCode: Licence.Write | ExitFlag.Private });
    }
    expect(external.log).toEqual([]);
    expect(await mmu.faultIn(task, 3, mmu.translation.errorCode)).toBe(Status.Ok);
    expect(external.log).toEqual(["set 3"]);
    // As TDH.MEM.PAGE.AUG leaves it.
    expect(at(mmu, 3)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({
      gfn: 3,
      errorCode: Licence.Read | ExitFlag.Private | ExitFlag.Pending,
    });
    external.pending.delete(3);
    expect(at(mmu, 3)).toBe(Status.Ok);
  });

  test("that no memslot has is a violation, too: no device is there", async () => {
    const { mmu, task } = await guest();
    expect(at(mmu, 0xfec00, Access.Write)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({ gfn: 0xfec00, errorCode: Licence.Write | ExitFlag.Private });
    expect(await mmu.faultIn(task, 0xfec00, Licence.Write)).toBe(Status.Mmio);
  });

  test("holds page tables, in which A and D are set", async () => {
    const { mmu, external, tables, entry } = await guest();
    const paging = tables(5, BigInt(9 * PAGE) | P | RW | US);
    external.frames.set(9, PRIVATE + 7);
    expect(mmu.translate(paging, 5 * PAGE, 0, Access.Write)).toBe(Status.Ok);
    expect(mmu.translation.host).toBe((PRIVATE + 7) * PAGE);
    expect([entry(1, 0) & A, entry(3, 0) & A, entry(4, 5) & (A | D)]).toEqual([A, A, A | D]);
  });

  test("page tables that cannot be written keep A and D as they are", async () => {
    const { mmu, external, tables, entry } = await guest();
    const paging = tables(5, BigInt(9 * PAGE) | P | RW | US);
    external.frames.set(9, PRIVATE + 7);
    external.unwritable.add(4);
    expect(mmu.translate(paging, 5 * PAGE, 0, Access.Write)).toBe(Status.Ok);
    expect([entry(3, 0) & A, entry(4, 5) & (A | D)]).toEqual([A, 0n]);
  });

  test.each([1, 2, 3, 4])("a page table that is not there leaves the guest at its frame: level %i", async (table) => {
    const { mmu, external, tables } = await guest();
    const paging = tables(5, BigInt(9 * PAGE) | P);
    external.frames.delete(table);
    expect(mmu.translate(paging, 5 * PAGE, 0, Access.User | Access.Write)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({ gfn: table, errorCode: Licence.Read | ExitFlag.Private });
    external.pending.add(table);
    expect(mmu.translate(paging, 5 * PAGE, 0, 0)).toBe(Status.Exit);
    expect(mmu.translation).toMatchObject({
      gfn: table,
      errorCode: Licence.Read | ExitFlag.Private | ExitFlag.Pending,
    });
  });
});

describe.each([48, 52] as const)("an address of %i bits with the shared bit", (bits) => {
  const SHARED = 1n << BigInt(bits - 1);

  test("is other memory than the same without it", async () => {
    const { mmu, external, tables } = await guest(bits);
    external.frames.set(5, PRIVATE + 7);
    const paging = tables(0, SHARED | BigInt(5 * PAGE) | P | RW);
    expect(mmu.translate(paging, 0, 0, Access.Write)).toBe(Status.Ok);
    const { host } = mmu.translation;
    expect(host).not.toBe((PRIVATE + 7) * PAGE);
    mmu.writeU32(5 * PAGE, 0x12345678);
    expect(new DataView(mmu.vm.slots.arena.u32.buffer).getUint32(host, true)).toBe(0x12345678);
    expect(mmu.translate(tables(0, BigInt(5 * PAGE) | P), 0, 0, 0)).toBe(Status.Ok);
    expect(mmu.translation.host).toBe((PRIVATE + 7) * PAGE);
  });

  test("where no memslot is leads to a device, named with the bit", async () => {
    const { mmu, sharedFrom, tables } = await guest(bits);
    const paging = tables(0, SHARED | 0xfec00000n | P | RW);
    for (const access of [0, Access.Write, Access.Write]) {
      expect(mmu.translate(paging, 0x10, 0, access)).toBe(Status.Mmio);
      expect(mmu.translation.gfn).toBe(sharedFrom + 0xfec00);
    }
  });

  test("in an instruction fetch has a reserved bit set", async () => {
    const { mmu, tables } = await guest(bits);
    const paging = tables(0, SHARED | BigInt(5 * PAGE) | P | RW | US);
    expect(mmu.translate(paging, 0, 0, 0)).toBe(Status.Ok);
    expect(mmu.translate(paging, 0, 0, Access.Fetch | Access.User)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.RSVD | PF.I | PF.U);
  });

  test("as the place of a page table is a page fault", async () => {
    const { mmu, tables } = await guest(bits);
    const paging = tables(0, BigInt(5 * PAGE) | P);
    const above = { ...paging, cr3Hi: Number(SHARED >> 32n) };
    expect(mmu.translate(above, 0, 0, 0)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.RSVD);
  });

  test.each([1, 2, 3])("as the place of a page table below is one, too: entry of table %i", async (table) => {
    const { mmu, tables, put } = await guest(bits);
    const paging = tables(0, BigInt(5 * PAGE) | P);
    put(table, 0, SHARED | BigInt(5 * PAGE) | P | RW | US);
    expect(mmu.translate(paging, 0, 0, Access.User | Access.Write)).toBe(Status.Fault);
    expect(mmu.translation.errorCode).toBe(PF.P | PF.RSVD | PF.U | PF.W);
    // Nothing of it stays.
    expect(mmu.translate(tables(0, P), 0, 0, 0)).toBe(Status.Exit);
  });

  test("with bits above it is reserved", async () => {
    const { mmu, tables } = await guest(bits);
    for (let bit = bits; bit < 52; bit++) {
      expect(mmu.translate(tables(0, (1n << BigInt(bit)) | SHARED | P), 0, 0, 0)).toBe(Status.Fault);
      expect(mmu.translation.errorCode).toBe(PF.P | PF.RSVD);
    }
    // Bits 62:52 are the guest's.
    expect(mmu.translate(tables(0, XD | (0x7ffn << 52n) | SHARED | BigInt(5 * PAGE) | P), 0, 0, 0)).toBe(Status.Ok);
  });
});

test("5-level page tables are private, too", async () => {
  const { mmu, external, tables } = await guest(52);
  const paging = { ...tables(3, BigInt(9 * PAGE) | P), cr4: PAE | LA57 };
  external.frames.set(9, PRIVATE + 7);
  // The root is its own next level: the first entry leads to frame 2.
  external.frames.set(6, PRIVATE + 6);
  const words = new BigUint64Array(mmu.vm.slots.arena.u32.buffer);
  words[(PRIVATE + 6) * 512] = BigInt(PAGE) | P | RW;
  expect(mmu.translate({ ...paging, cr3Lo: 6 * PAGE }, 3 * PAGE, 0, 0)).toBe(Status.Ok);
  expect(mmu.translation).toMatchObject({ host: (PRIVATE + 7) * PAGE, gfn: 9 });
});

test("who only looks is told where an address leads, and that a page table is not there", async () => {
  const { mmu, external, tables } = await guest();
  const paging = tables(5, BigInt(9 * PAGE) | P);
  expect(mmu.gvaToGpa(paging, 5 * PAGE + 7, 0)).toBe(9 * PAGE + 7);
  external.frames.delete(3);
  expect(mmu.gvaToGpa(paging, 5 * PAGE, 0)).toBeNull();
});
