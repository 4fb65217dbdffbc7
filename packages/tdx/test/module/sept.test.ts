import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { PageType } from "../../src/module/page-type.js";
import { SeptState } from "../../src/module/sept-state.js";
import { GIB, Host, MEMORY, MIB, PAGE, type Result, SCRATCH } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

const built = (params = {}) => new TdHost(new Host().bringUp()).build(params).addVcpu();
const NULL_PA = 2n ** 64n - 1n;
const FREE = 1n << 63n;
/** What RCX and RDX say of an entry. */
const details = ({ regs }: Result) => [regs[Gpr.Rcx], regs[Gpr.Rdx]];
const at = (level: number, state: number) => BigInt(level | (state << 8));
const state = (td: TdHost, gpa: number, level = 0) => td.td.sept?.find(gpa, level).state;
const type = (td: TdHost, hpa: number) => td.host.module.state.pamt.typeOf(hpa);

describe("operands of leaves that work on a secure EPT entry", () => {
  it.each([
    ["TDH.MEM.SEPT.ADD", Tdh.SeptAdd, 1, 3],
    ["TDH.MEM.SEPT.RD", Tdh.SeptRd, 0, 3],
    ["TDH.MEM.SEPT.REMOVE", Tdh.SeptRemove, 1, 3],
    ["TDH.MEM.PAGE.ADD", Tdh.PageAdd, 0, 0],
    ["TDH.MEM.PAGE.AUG", Tdh.PageAug, 0, 1],
    ["TDH.MEM.PAGE.REMOVE", Tdh.PageRemove, 0, 2],
    ["TDH.MEM.PAGE.RELOCATE", Tdh.PageRelocate, 0, 0],
    ["TDH.MEM.PAGE.PROMOTE", Tdh.PagePromote, 1, 2],
    ["TDH.MEM.PAGE.DEMOTE", Tdh.PageDemote, 1, 2],
    ["TDH.MEM.RANGE.BLOCK", Tdh.RangeBlock, 0, 3],
    ["TDH.MEM.RANGE.UNBLOCK", Tdh.RangeUnblock, 0, 3],
  ])("%s takes levels of its own, aligned private addresses and nothing reserved", (_name, leaf, min, max) => {
    const { host, tdr } = built();
    const call = (rcx: number | bigint) => host.call(leaf, { rcx, rdx: tdr, r8: SCRATCH, r9: SCRATCH }).text;
    for (let level = 0; level < 8; level++)
      if (level < min || level > max) expect(call(level)).toBe("OPERAND_INVALID|1");
    for (const bit of [3n, 11n, 52n, 63n]) expect(call(BigInt(min) | (1n << bit))).toBe("OPERAND_INVALID|1");
    if (max > 0) expect(call(PAGE + max)).toBe("OPERAND_INVALID|1");
    expect(call(2 ** 47 + min)).toBe("OPERAND_INVALID|1");
    expect(call(2 ** 48 + min)).toBe("OPERAND_INVALID|1");
    expect(host.call(leaf, { rcx: min, rdx: SCRATCH, r8: SCRATCH }).text).toBe("PAGE_METADATA_INCORRECT|2");
  });

  it("end where the way down ends, and say what is there", () => {
    const td = built();
    const call = (leaf: number) => td.host.call(leaf, { rcx: 0, rdx: td.tdr, r8: td.host.alloc(), r9: SCRATCH });
    for (const leaf of [
      Tdh.PageAdd,
      Tdh.PageAug,
      Tdh.PageRemove,
      Tdh.PageRelocate,
      Tdh.RangeBlock,
      Tdh.RangeUnblock,
      Tdh.SeptRd,
    ]) {
      const result = call(leaf);
      expect([result.text, ...details(result)]).toEqual(["EPT_WALK_FAILED|1", FREE, at(3, 0)]);
    }
    const extended = td.host.call(Tdh.MrExtend, { rcx: 0, rdx: td.tdr });
    expect([extended.text, ...details(extended)]).toEqual(["EPT_ENTRY_NOT_PRESENT|1", FREE, at(3, 0)]);
  });
});

describe("TDH.MEM.SEPT.ADD", () => {
  it("hangs a table of the TD's where none is, from the top down", () => {
    const td = built();
    const { host, tdr } = td;
    const page = host.alloc();
    expect(host.call(Tdh.SeptAdd, { rcx: 2, rdx: tdr, r8: page }).text).toBe("EPT_WALK_FAILED|1");
    const before = td.td.chldcnt;
    host.must(Tdh.SeptAdd, { rcx: 3, rdx: tdr, r8: page });
    expect([td.td.chldcnt - before, type(td, page)]).toEqual([1, PageType.Ept]);
    const again = host.call(Tdh.SeptAdd, { rcx: 3, rdx: tdr, r8: host.alloc() });
    expect([again.text, ...details(again)]).toEqual(["EPT_ENTRY_STATE_INCORRECT|1", 7n, at(3, 132)]);
    expect(host.call(Tdh.SeptAdd, { rcx: 2, rdx: tdr, r8: page }).text).toBe("PAGE_METADATA_INCORRECT|8");
    expect(host.call(Tdh.SeptAdd, { rcx: 2, rdx: tdr, r8: NULL_PA }).text).toBe("OPERAND_INVALID|8");
    expect(host.call(Tdh.SeptAdd, { rcx: 2, rdx: BigInt(tdr) | 2n, r8: page }).text).toBe("OPERAND_INVALID|2");
  });

  it("is content with a table that is there if it is told so, and says in version 1 that it did not need the page", () => {
    const td = built();
    const { host, tdr } = td;
    host.must(Tdh.SeptAdd, { rcx: 3, rdx: tdr, r8: host.alloc() });
    const page = host.alloc();
    const l2 = { r9: NULL_PA, r10: NULL_PA, r11: NULL_PA };
    const allowed = { rcx: 3, rdx: BigInt(tdr) | 1n, r8: page, ...l2 };
    const { regs } = host.must(Tdh.SeptAdd, allowed, { version: 1 });
    expect(regs[Gpr.R8]).toBe(BigInt(page) | (1n << 63n));
    expect(type(td, page)).toBe(PageType.Nda);
    expect(host.must(Tdh.SeptAdd, { ...allowed, rcx: 2 }, { version: 1 }).regs[Gpr.R8]).toBe(NULL_PA);
    expect(host.must(Tdh.SeptAdd, { ...allowed, r8: NULL_PA }, { version: 1 }).regs[Gpr.R8]).toBe(NULL_PA);
    const missing = host.call(Tdh.SeptAdd, { ...allowed, rcx: 1, r8: NULL_PA }, { version: 1 });
    expect(missing.text).toBe("EPT_ENTRY_STATE_INCORRECT|1");
    const forL2 = host.call(Tdh.SeptAdd, { ...allowed, rcx: 1, r8: host.alloc(), r10: 0 }, { version: 1 });
    expect(forL2.text).toBe("OPERAND_INVALID|10");
  });

  it("goes as high as the tree does", () => {
    const host = new Host({ maxPhysAddr: 52 }).bringUp();
    const td = new TdHost(host).build({ configFlags: 1n, eptp: 0x26n });
    td.host.must(Tdh.SeptAdd, { rcx: 4, rdx: td.tdr, r8: td.host.alloc() });
    expect(td.host.call(Tdh.SeptAdd, { rcx: 2 ** 51 + 4, rdx: td.tdr, r8: td.host.alloc() }).text).toBe(
      "OPERAND_INVALID|1",
    );
    expect(td.host.call(Tdh.SeptAdd, { rcx: 2 ** 48 + 4, rdx: td.tdr, r8: td.host.alloc() }).text).toBe("SUCCESS");
  });
});

describe("TDH.MEM.PAGE.ADD", () => {
  it("copies a page of the host's, which the guest can use at once", () => {
    const td = built().addPage(0, 0x77);
    const hpa = td.pages.get(0) ?? 0;
    expect(td.host.page(hpa).every((byte) => byte === 0x77)).toBe(true);
    expect([state(td, 0), td.td.sept?.walk(0, 4), type(td, hpa)]).toEqual([SeptState.Mapped, hpa / PAGE, PageType.Reg]);
  });

  it("takes the page that has the content already", () => {
    const td = built().addTables(0);
    const page = td.host.alloc();
    td.host.page(page).fill(0x31);
    td.host.must(Tdh.PageAdd, { rcx: 0, rdx: td.tdr, r8: page, r9: page });
    expect(td.host.page(page)[4095]).toBe(0x31);
  });

  it("checks the address, the entry, the source and the page, in that order", () => {
    const td = built().addTables(0);
    const { host, tdr } = td;
    const add = (operands: object) => host.call(Tdh.PageAdd, { rcx: 0, rdx: tdr, r8: tdr, r9: 1, ...operands }).text;
    expect(add({ rcx: 2 ** 47 })).toBe("OPERAND_INVALID|1");
    expect(add({ rcx: 2 * MIB })).toBe("EPT_WALK_FAILED|1");
    expect(add({})).toBe("OPERAND_INVALID|9");
    expect(add({ r9: MEMORY })).toBe("OPERAND_INVALID|9");
    expect(add({ r9: tdr })).toBe("OPERAND_INVALID|9");
    expect(add({ r9: SCRATCH, r8: td.tables[0] })).toBe("PAGE_METADATA_INCORRECT|8");
    td.addPage(0);
    expect(add({})).toBe("EPT_ENTRY_STATE_INCORRECT|1");
  });

  it("is for the time before MR.FINALIZE", () => {
    const td = built().addTables(0).finalize();
    for (const leaf of [Tdh.PageAdd, Tdh.MrExtend])
      expect(td.host.call(leaf, { rcx: 0, rdx: td.tdr, r8: td.host.alloc(), r9: SCRATCH }).text).toBe(
        "OP_STATE_INCORRECT",
      );
  });
});

describe("TDH.MR.EXTEND", () => {
  it("takes 256 aligned bytes of a page that is mapped", () => {
    const td = built().addPage(0).augPage(PAGE);
    const extend = (rcx: number) => td.host.call(Tdh.MrExtend, { rcx, rdx: td.tdr }).text;
    expect(extend(128)).toBe("OPERAND_INVALID|1");
    expect(extend(2 ** 47)).toBe("OPERAND_INVALID|1");
    expect(extend(PAGE)).toBe("EPT_ENTRY_NOT_PRESENT|1");
    expect(extend(PAGE - 256)).toBe("SUCCESS");
  });
});

describe("TDH.MEM.PAGE.AUG", () => {
  it("gives a page that the guest has to accept before it can use it", () => {
    const td = built().augPage(0);
    const hpa = td.pages.get(0) ?? 0;
    expect([state(td, 0), td.td.sept?.walk(0, 1), type(td, hpa)]).toEqual([SeptState.Pending, -1, PageType.Reg]);
    const again = td.host.call(Tdh.PageAug, { rcx: 0, rdx: td.tdr, r8: td.host.alloc() });
    expect([again.text, again.regs[Gpr.Rdx]]).toEqual(["EPT_ENTRY_STATE_INCORRECT|1", at(0, 2)]);
    const used = td.host.call(Tdh.PageAug, { rcx: PAGE, rdx: td.tdr, r8: hpa });
    expect(used.text).toBe("PAGE_METADATA_INCORRECT|8");
  });

  it("takes 2 MiB that are free as a whole", () => {
    const td = built().addTables(0, 2);
    const large = td.host.alloc(2 * MIB);
    const before = td.td.chldcnt;
    expect(td.host.call(Tdh.PageAug, { rcx: 1, rdx: td.tdr, r8: large + PAGE }).text).toBe("OPERAND_INVALID|8");
    td.host.must(Tdh.MngCreate, { rcx: large + 5 * PAGE, rdx: 18 });
    expect(td.host.call(Tdh.PageAug, { rcx: 1, rdx: td.tdr, r8: large }).text).toBe("PAGE_METADATA_INCORRECT|8");
    const free = td.host.alloc(2 * MIB);
    td.host.must(Tdh.PageAug, { rcx: 1, rdx: td.tdr, r8: free });
    expect([td.td.chldcnt - before, type(td, free + 7 * PAGE)]).toEqual([512, PageType.Reg]);
    expect(td.host.call(Tdh.MngCreate, { rcx: free + PAGE, rdx: 19 }).text).toBe("PAGE_METADATA_INCORRECT|1");
  });
});

describe("blocking, tracking and removing", () => {
  it("is needed in that order once the TD can run", () => {
    const td = built().addPage(0).augPage(PAGE).finalize();
    const { host, tdr } = td;
    for (const gpa of [0, PAGE]) {
      const call = (leaf: number) => host.call(leaf, { rcx: gpa, rdx: tdr }).text;
      expect(call(Tdh.PageRemove)).toBe("GPA_RANGE_NOT_BLOCKED|1");
      expect(call(Tdh.RangeUnblock)).toBe("EPT_ENTRY_STATE_INCORRECT|1");
      expect(call(Tdh.RangeBlock)).toBe("SUCCESS");
      expect(call(Tdh.RangeBlock)).toBe("GPA_RANGE_ALREADY_BLOCKED|1");
      expect(td.td.sept?.walk(gpa / PAGE, 1)).toBe(0);
      expect(call(Tdh.PageRemove)).toBe("TLB_TRACKING_NOT_DONE|1");
      expect(call(Tdh.RangeUnblock)).toBe("TLB_TRACKING_NOT_DONE|146");
      host.must(Tdh.Track, { rcx: tdr });
      expect(call(Tdh.RangeUnblock)).toBe("SUCCESS");
      expect(state(td, gpa)).toBe(gpa === 0 ? SeptState.Mapped : SeptState.Pending);
      host.must(Tdh.RangeBlock, { rcx: gpa, rdx: tdr });
      host.must(Tdh.Track, { rcx: tdr });
      const removed = host.must(Tdh.PageRemove, { rcx: gpa, rdx: tdr }).regs[Gpr.Rcx];
      expect([removed, state(td, gpa)]).toEqual([BigInt(td.pages.get(gpa) ?? 0), SeptState.Free]);
      expect(type(td, Number(removed))).toBe(PageType.Nda);
    }
  });

  it("is not needed before MR.FINALIZE", () => {
    const td = built().addPage(0);
    const { regs } = td.host.must(Tdh.PageRemove, { rcx: 0, rdx: td.tdr });
    expect(regs[Gpr.Rcx]).toBe(BigInt(td.pages.get(0) ?? 0));
    td.host.must(Tdh.SeptRemove, { rcx: 1, rdx: td.tdr });
  });

  it("leaves nothing of the TD in a page that goes back to the host", () => {
    const td = built().addPage(0, 0x42);
    const hpa = td.pages.get(0) ?? 0;
    td.host.must(Tdh.PageRemove, { rcx: 0, rdx: td.tdr });
    expect(td.host.page(hpa).filter((byte) => byte === 0x42).length).toBeLessThan(PAGE / 64);
    expect(td.host.page(hpa).some((byte) => byte !== 0)).toBe(true);
  });

  it("waits for vCPUs that run since before: their epoch is not over", () => {
    const td = built().addVcpu({ lp: 1 }).addPage(0).finalize();
    const { host, tdr } = td;
    const tracks: string[] = [];
    td.cpu(0).script.push(() => {
      host.must(Tdh.RangeBlock, { rcx: 0, rdx: tdr }, { lp: 1 });
      tracks.push(host.call(Tdh.Track, { rcx: tdr }, { lp: 1 }).text);
      tracks.push(host.call(Tdh.PageRemove, { rcx: 0, rdx: tdr }, { lp: 1 }).text);
      tracks.push(host.call(Tdh.Track, { rcx: tdr }, { lp: 1 }).text);
      return { reason: "external-interrupt" };
    });
    td.enter(0);
    expect(tracks).toEqual(["SUCCESS", "TLB_TRACKING_NOT_DONE|1", "PREVIOUS_TLB_EPOCH_BUSY"]);
    host.must(Tdh.PageRemove, { rcx: 0, rdx: tdr });
  });

  it("works on tables, too: what is below is out of reach then", () => {
    const td = built().addPage(0).finalize();
    const { host, tdr } = td;
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    expect([state(td, 0, 1), td.td.sept?.walk(0, 1)]).toEqual([SeptState.NlBlocked, 0]);
    expect(host.call(Tdh.RangeBlock, { rcx: 0, rdx: tdr }).text).toBe("EPT_WALK_FAILED|1");
    expect(host.call(Tdh.SeptRemove, { rcx: 1, rdx: tdr }).text).toBe("TLB_TRACKING_NOT_DONE|1");
    host.must(Tdh.Track, { rcx: tdr });
    expect(host.call(Tdh.SeptRemove, { rcx: 1, rdx: tdr }).text).toBe("EPT_PAGE_NOT_FREE|1");
    host.must(Tdh.RangeUnblock, { rcx: 1, rdx: tdr });
    td.remove(0);
    expect(host.call(Tdh.SeptRemove, { rcx: 1, rdx: tdr }).text).toBe("GPA_RANGE_NOT_BLOCKED|1");
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    const { regs } = host.must(Tdh.SeptRemove, { rcx: 1, rdx: tdr });
    expect(td.tables).toContain(Number(regs[Gpr.Rcx]));
    expect(host.call(Tdh.SeptRemove, { rcx: 1, rdx: tdr }).text).toBe("EPT_ENTRY_STATE_INCORRECT|1");
  });
});

describe("TDH.MEM.SEPT.RD", () => {
  it("says what an entry is like, without what is the module's own", () => {
    const td = built().addPage(0).augPage(PAGE);
    const read = (rcx: number) => details(td.host.must(Tdh.SeptRd, { rcx, rdx: td.tdr }));
    const hpa = BigInt(td.pages.get(0) ?? 0);
    const leaf = FREE | 0xf0n;
    expect(read(0)).toEqual([leaf | hpa | 7n, at(0, 4)]);
    expect(read(PAGE)).toEqual([leaf | BigInt(td.pages.get(PAGE) ?? 0), at(0, 2)]);
    expect(read(2 * PAGE)).toEqual([FREE, at(0, 0)]);
    expect(read(1)).toEqual([7n, at(1, 132)]);
    td.host.must(Tdh.RangeBlock, { rcx: 0, rdx: td.tdr });
    expect(read(0)).toEqual([leaf | hpa, at(0, 1)]);
    const l2 = td.host.call(Tdh.SeptRd, { rcx: 0, rdx: BigInt(td.tdr) | 1n });
    expect(l2.text).toBe("OPERAND_INVALID|2");
  });
});

describe("a debugger's look into private memory", () => {
  it("is refused for a TD that cannot be debugged", () => {
    const td = built().addPage(0);
    for (const leaf of [Tdh.MemRd, Tdh.MemWr])
      expect(td.host.call(leaf, { rcx: 0, rdx: td.tdr }).text).toBe("TD_NON_DEBUG");
  });

  it("reads and writes 8 bytes of a mapped page", () => {
    const td = built({ attributes: 1n }).addPage(0, 0).augPage(PAGE);
    const call = (leaf: number, rcx: number, r8 = 0n) => td.host.call(leaf, { rcx, rdx: td.tdr, r8 });
    expect(call(Tdh.MemRd, 4).text).toBe("OPERAND_INVALID|1");
    expect(call(Tdh.MemRd, 2 ** 47).text).toBe("OPERAND_INVALID|1");
    expect(call(Tdh.MemRd, PAGE).text).toBe("EPT_ENTRY_NOT_PRESENT|1");
    expect(call(Tdh.MemRd, GIB).text).toBe("EPT_ENTRY_NOT_PRESENT|1");
    expect(call(Tdh.MemWr, 8, 0x1122n).regs[Gpr.R8]).toBe(0n);
    expect(call(Tdh.MemRd, 8).regs[Gpr.R8]).toBe(0x1122n);
    expect(td.host.must(Tdh.SeptRd, { rcx: 0, rdx: BigInt(td.tdr) | 1n }).regs[Gpr.R8]).toBe(0n);
  });
});
