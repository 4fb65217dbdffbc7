import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { PageType } from "../../src/module/page-type.js";
import { SeptState } from "../../src/module/sept-state.js";
import { Host, MIB, PAGE, type Result } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

const built = (params = {}) => new TdHost(new Host().bringUp()).build(params).addVcpu();
const NULL_PA = 2n ** 64n - 1n;
const _FREE = 1n << 63n;
/** What RCX and RDX say of an entry. */
const details = ({ regs }: Result) => [regs[Gpr.Rcx], regs[Gpr.Rdx]];
const _at = (level: number, state: number) => BigInt(level | (state << 8));
const state = (td: TdHost, gpa: number, level = 0) => td.td.sept?.find(gpa, level).state;
const type = (td: TdHost, hpa: number) => td.host.module.state.pamt.typeOf(hpa);

describe("TDH.MEM.PAGE.RELOCATE", () => {
  it("moves a blocked page, content and all, and unblocks it", () => {
    const td = built().addPage(0, 0x55).augPage(PAGE).finalize();
    const { host, tdr } = td;
    const [old = 0, target] = [td.pages.get(0), host.alloc()];
    const move = (r8: number) => host.call(Tdh.PageRelocate, { rcx: 0, rdx: tdr, r8 });
    expect(move(old).text).toBe("OPERAND_INVALID|8");
    expect(move(target).text).toBe("GPA_RANGE_NOT_BLOCKED|1");
    host.must(Tdh.RangeBlock, { rcx: 0, rdx: tdr });
    expect(move(target).text).toBe("TLB_TRACKING_NOT_DONE|1");
    host.must(Tdh.Track, { rcx: tdr });
    expect(move(tdr).text).toBe("OPERAND_BUSY|8");
    expect(move(target).regs[Gpr.Rcx]).toBe(BigInt(old));
    expect([state(td, 0), td.td.sept?.walk(0, 1), host.page(target)[9]]).toEqual([
      SeptState.Mapped,
      target / PAGE,
      0x55,
    ]);
    expect([type(td, old), type(td, target)]).toEqual([PageType.Nda, PageType.Reg]);
    host.must(Tdh.RangeBlock, { rcx: PAGE, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    host.must(Tdh.PageRelocate, { rcx: PAGE, rdx: tdr, r8: host.alloc() });
    expect(state(td, PAGE)).toBe(SeptState.Pending);
    expect(host.call(Tdh.PageRelocate, { rcx: 2 * PAGE, rdx: tdr, r8: target }).text).toBe(
      "EPT_ENTRY_STATE_INCORRECT|1",
    );
  });
});

describe("TDH.MEM.PAGE.DEMOTE and PROMOTE", () => {
  /** 2 MiB at 0, pending. */
  function large(interruptPending?: () => boolean) {
    const host = new Host(interruptPending && { interruptPending }).bringUp();
    const td = new TdHost(host).build().addVcpu().addTables(0, 2);
    const hpa = host.alloc(2 * MIB);
    host.must(Tdh.PageAug, { rcx: 1, rdx: td.tdr, r8: hpa });
    return { td: td.finalize(), host, tdr: td.tdr, hpa };
  }

  it("makes 512 pages of one, and one of 512 again", () => {
    const { td, host, tdr, hpa } = large();
    const table = host.alloc();
    const demote = () => host.call(Tdh.PageDemote, { rcx: 1, rdx: tdr, r8: table });
    expect(demote().text).toBe("GPA_RANGE_NOT_BLOCKED|1");
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    expect(demote().text).toBe("TLB_TRACKING_NOT_DONE|1");
    host.must(Tdh.Track, { rcx: tdr });
    expect(host.call(Tdh.PageDemote, { rcx: 1, rdx: tdr, r8: tdr }).text).toBe("OPERAND_BUSY|8");
    const before = td.td.chldcnt;
    expect(demote().text).toBe("SUCCESS");
    expect([td.td.chldcnt - before, state(td, 5 * PAGE), td.td.sept?.find(5 * PAGE, 0).hpa]).toEqual([
      1,
      SeptState.Pending,
      hpa + 5 * PAGE,
    ]);
    expect(demote().text).toBe("EPT_ENTRY_STATE_INCORRECT|1");
    const promote = () => host.call(Tdh.PagePromote, { rcx: 1, rdx: tdr }, { version: 1 });
    expect(promote().text).toBe("GPA_RANGE_NOT_BLOCKED|1");
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    expect(promote().text).toBe("TLB_TRACKING_NOT_DONE|1");
    host.must(Tdh.Track, { rcx: tdr });
    const { regs } = promote();
    expect([regs[Gpr.Rax], regs[Gpr.Rcx], regs[Gpr.R9]]).toEqual([0n, BigInt(table), NULL_PA]);
    expect([td.td.chldcnt, state(td, 0, 1), type(td, table)]).toEqual([before, SeptState.Pending, PageType.Nda]);
    expect(promote().text).toBe("EPT_ENTRY_STATE_INCORRECT|1");
  });

  it("merges only what is in a row and in one state", () => {
    const { td, host, tdr } = large();
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    host.must(Tdh.PageDemote, { rcx: 1, rdx: tdr, r8: host.alloc() });
    td.remove(9 * PAGE);
    host.alloc();
    td.augPage(9 * PAGE);
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    expect(host.call(Tdh.PagePromote, { rcx: 1, rdx: tdr }).text).toBe("EPT_INVALID_PROMOTE_CONDITIONS|1");
    host.must(Tdh.RangeUnblock, { rcx: 1, rdx: tdr });
    expect(td.td.sept?.find(9 * PAGE, 0).isLocked).toBe(false);
  });

  it("gives way to an interrupt, with the host's operands where they were", () => {
    let pending = false;
    const { host, tdr } = large(() => pending);
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    pending = true;
    const result = host.call(Tdh.PageDemote, { rcx: 1, rdx: tdr, r8: host.alloc() });
    expect([result.text, ...details(result)]).toEqual(["INTERRUPTED_RESTARTABLE", 1n, BigInt(tdr)]);
    pending = false;
    host.must(Tdh.PageDemote, { rcx: 1, rdx: tdr, r8: host.alloc() });
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    pending = true;
    expect(host.call(Tdh.PagePromote, { rcx: 1, rdx: tdr }).text).toBe("INTERRUPTED_RESTARTABLE");
  });

  it("removes a large page as a whole", () => {
    const { td, host, tdr, hpa } = large();
    expect(host.call(Tdh.PageReclaim, { rcx: hpa + PAGE }).text).toBe("OPERAND_INVALID|1");
    host.must(Tdh.RangeBlock, { rcx: 1, rdx: tdr });
    host.must(Tdh.Track, { rcx: tdr });
    const before = td.td.chldcnt;
    host.must(Tdh.PageRemove, { rcx: 1, rdx: tdr });
    expect([before - td.td.chldcnt, type(td, hpa + PAGE)]).toEqual([512, PageType.Nda]);
  });
});
