import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { PageType } from "../../src/module/page-type.js";
import { PrivateFrameError } from "../../src/module/private-frame-error.js";
import { Host, MEMORY, MIB, PAGE, SCRATCH } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

const runnable = (host = new Host().bringUp()) => new TdHost(host).runnable();

describe("what a host may see of memory", () => {
  it("is not a TD's: neither its pages, nor its tables, nor its control structures, nor the PAMT", () => {
    const td = runnable().augPage(PAGE);
    const { module } = td.host;
    const { tdvpr = 0, tdcx = [] } = td.vps[0] ?? {};
    const pages = [td.tdr, ...td.tdcx, ...td.tables, tdvpr, ...tdcx, ...td.pages.values(), 16 * MIB];
    expect(pages.map((hpa) => module.isPrivate(hpa))).toEqual(pages.map(() => true));
    expect([SCRATCH, td.host.alloc(), 32 * MIB - PAGE].map((hpa) => module.isPrivate(hpa))).toEqual([
      false,
      false,
      false,
    ]);
    for (const hpa of pages) expect(() => module.hostFrame(hpa)).toThrow(PrivateFrameError);
    expect(module.hostFrame(SCRATCH)).toBe(td.host.page(SCRATCH));
    td.destroy();
    expect(pages.slice(0, -1).map((hpa) => module.isPrivate(hpa))).toEqual(pages.slice(1).map(() => false));
  });

  it("is no operand of a leaf either: a private page is neither a source nor a place for answers", () => {
    const td = runnable();
    const page = td.pages.get(0) ?? 0;
    const before = td.host.page(page).slice();
    expect(td.host.call(32, { rcx: page, rdx: 1024, r8: SCRATCH, r9: 32 }).text).toBe("OPERAND_INVALID|1");
    expect(td.host.call(37, { rdx: page, r8: 2n ** 64n - 1n }).text).toBe("OPERAND_INVALID|2");
    expect(td.host.page(page)).toEqual(before);
  });

  it("is scrambled when a page comes back, whatever it was", () => {
    const td = runnable();
    const page = td.pages.get(0) ?? 0;
    td.freeKey();
    td.host.must(Tdh.PageReclaim, { rcx: page });
    expect(td.host.page(page).filter((byte) => byte === 0xab).length).toBeLessThan(PAGE / 64);
  });
});

describe("TDH.PHYMEM.PAGE.RDMD", () => {
  it("says type, owner, size and the epoch that a page was blocked at", () => {
    const td = runnable();
    const read = (rcx: number) => [...td.host.must(Tdh.PageRdMd, { rcx }).regs];
    const expected = (type: PageType, owner: number, epoch = 0) => {
      const regs = new Array(16).fill(0n);
      regs[Gpr.Rcx] = BigInt(type);
      regs[Gpr.Rdx] = BigInt(owner);
      regs[Gpr.R9] = BigInt(epoch);
      return regs;
    };
    expect(read(td.tdr)).toEqual(expected(PageType.Tdr, 0));
    expect(read(td.tdcx[0] ?? 0)).toEqual(expected(PageType.Tdcx, td.tdr));
    expect(read(td.tables[0] ?? 0)).toEqual(expected(PageType.Ept, td.tdr));
    td.host.must(Tdh.Track, { rcx: td.tdr });
    td.host.must(Tdh.RangeBlock, { rcx: 0, rdx: td.tdr });
    expect(read(td.pages.get(0) ?? 0)).toEqual(expected(PageType.Reg, td.tdr, 2));
    for (const rcx of [1, 2n ** 45n, 2n ** 52n])
      expect(td.host.call(Tdh.PageRdMd, { rcx }).text).toBe("OPERAND_INVALID|1");
    expect(td.host.call(Tdh.PageRdMd, { rcx: MEMORY }).text).toBe("OPERAND_ADDR_RANGE_ERROR|1");
  });
});

describe("TDH.PHYMEM.PAGE.RECLAIM", () => {
  it("takes a page of a TD without a key", () => {
    const td = runnable();
    const reclaim = (rcx: number | bigint) => td.host.call(Tdh.PageReclaim, { rcx }).text;
    expect(reclaim(SCRATCH)).toBe("PAGE_METADATA_INCORRECT|1");
    expect(reclaim(16 * MIB)).toBe("PAGE_METADATA_INCORRECT|1");
    expect(reclaim(MEMORY)).toBe("OPERAND_ADDR_RANGE_ERROR|1");
    expect(reclaim(SCRATCH + 1)).toBe("OPERAND_INVALID|1");
    expect(reclaim(td.tdr)).toBe("LIFECYCLE_STATE_INCORRECT");
    expect(reclaim(td.tdcx[0] ?? 0)).toBe("LIFECYCLE_STATE_INCORRECT");
  });
});

describe("TDH.PHYMEM.PAGE.WBINVD", () => {
  it("takes a page that is the host's, with the key id it had", () => {
    const td = runnable();
    const keyed = (hpa: number) => BigInt(hpa) | (17n << BigInt(td.host.module.state.hkidShift));
    expect(td.host.call(Tdh.PageWbInvd, { rcx: keyed(SCRATCH) }).text).toBe("SUCCESS");
    expect(td.host.call(Tdh.PageWbInvd, { rcx: keyed(td.tdr) }).text).toBe("PAGE_METADATA_INCORRECT|1");
    expect(td.host.call(Tdh.PageWbInvd, { rcx: SCRATCH + 8 }).text).toBe("OPERAND_INVALID|1");
  });
});

describe("TDH.PHYMEM.CACHE.WB", () => {
  it("is interrupted, and goes on where it was", () => {
    let interrupts = 0;
    const td = runnable(new Host({ interruptPending: () => interrupts-- > 0 }).bringUp());
    const write = (rcx: number) => td.host.call(Tdh.CacheWb, { rcx }).text;
    expect(write(2)).toBe("OPERAND_INVALID|1");
    expect(write(1)).toBe("WBCACHE_RESUME_ERROR");
    td.host.must(Tdh.VpFlush, { rcx: td.vps[0]?.tdvpr ?? 0 });
    td.host.must(Tdh.VpFlushDone, { rcx: td.tdr });
    interrupts = 1;
    expect(write(0)).toBe("INTERRUPTED_RESUMABLE");
    interrupts = 1;
    expect(write(1)).toBe("INTERRUPTED_RESUMABLE");
    expect(write(1)).toBe("SUCCESS");
    expect(write(1)).toBe("WBCACHE_RESUME_ERROR");
    td.host.must(Tdh.CacheWb, { rcx: 0 }, { lp: 2 });
    td.host.must(Tdh.KeyFreeId, { rcx: td.tdr });
  });
});

describe("leaves of what this module does not have", () => {
  it.each([42, 48, 49, 64, 65, 66, 68, 70, 71, 72, 73, 74, 75, 80, 81, 82, 83, 84, 85, 86, 87, 96])(
    "%i is refused as no leaf",
    (leaf) => {
      expect(runnable().host.call(leaf).text).toBe("OPERAND_INVALID");
    },
  );

  it("include no KEY.RECLAIMID, which does nothing and says SUCCESS, as Intel's", () => {
    expect(runnable().host.call(Tdh.KeyReclaimId, { rcx: 1 }).text).toBe("SUCCESS");
  });
});
