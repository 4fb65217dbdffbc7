import { describe, expect, it } from "vitest";
import { Mrtd } from "../../src/measure/mrtd.js";
import { Gpr } from "../../src/module/gpr.js";
import { KeyState } from "../../src/module/kot.js";
import { PageType } from "../../src/module/page-type.js";
import { Lifecycle, OpState } from "../../src/module/td.js";
import { NOT_ASSOCIATED } from "../../src/module/td-vcpu.js";
import { FREE_PAGES, HKIDS, Host, MODULE_HKID, PAGE } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

const keys = (host: Host) => host.module.state.kot.entries.map(({ state }) => state);
const used = (host: Host) => {
  const pages: number[] = [];
  host.module.state.pamt.forEachUsed((hpa) => pages.push(hpa));
  return pages;
};

describe("the life of a TD", () => {
  it("goes from HKID_ASSIGNED by KEYS_CONFIGURED and BLOCKED to TEARDOWN", () => {
    const host = new Host().bringUp();
    const td = new TdHost(host).create();
    expect(td.td.lifecycle).toBe(Lifecycle.HkidAssigned);
    host.must(Tdh.MngKeyConfig, { rcx: td.tdr });
    expect(td.td.lifecycle).toBe(Lifecycle.HkidAssigned);
    expect(host.call(Tdh.MngKeyConfig, { rcx: td.tdr }).text).toBe("KEY_CONFIGURED");
    host.must(Tdh.MngKeyConfig, { rcx: td.tdr }, { lp: 2 });
    expect(td.td.lifecycle).toBe(Lifecycle.KeysConfigured);
    td.addControlPages().init().addVcpu().addPage(0);
    expect(td.td.opState).toBe(OpState.Initialized);
    td.finalize();
    expect(td.td.opState).toBe(OpState.Runnable);
    td.freeKey();
    expect(td.td.lifecycle).toBe(Lifecycle.Teardown);
    td.reclaim();
    expect(host.module.state.tds.size).toBe(0);
    expect(host.module.state.vcpus.size).toBe(0);
  });

  it("leaves nothing behind after 100 times, and no SEAMCALL fails", () => {
    const host = new Host().bringUp();
    for (let i = 0; i < 100; i++) {
      const td = new TdHost(host, HKIDS.first + 1 + (i % (HKIDS.count - 1)));
      td.build()
        .addVcpu()
        .addVcpu({ lp: 2 })
        .addPage(0)
        .addPage(PAGE)
        .finalize()
        .augPage(2 * PAGE);
      expect(td.enter().status & 0xffff_ffff_0000_0000n).toBe(0n);
      expect(td.td.chldcnt).toBe(6 + 12 + td.tables.length + td.pages.size);
      td.remove(PAGE).destroy();
    }
    expect(keys(host)).toEqual(
      Array.from({ length: HKIDS.count }, (_, i) =>
        HKIDS.first + i === MODULE_HKID ? KeyState.Reserved : KeyState.Free,
      ),
    );
    expect(used(host)).toEqual([]);
    expect(host.alloc()).toBeLessThan(FREE_PAGES + 100 * PAGE);
  });

  it("measures what was added and extended, in that order", () => {
    const host = new Host().bringUp();
    const td = new TdHost(host).build().addVcpu().addPage(PAGE, 0x11).addPage(0, 0x22);
    host.must(Tdh.MrExtend, { rcx: PAGE + 256, rdx: td.tdr });
    td.finalize();
    const expected = new Mrtd();
    expected.pageAdd(PAGE);
    expected.pageAdd(0);
    expected.extend(PAGE + 256, new Uint8Array(256).fill(0x11));
    expect(td.td.mrtd).toEqual(expected.digest());
  });

  it("counts every page but the TDR in CHLDCNT, and the TDR goes last", () => {
    const host = new Host().bringUp();
    const td = new TdHost(host).runnable().freeKey();
    expect(host.call(Tdh.PageReclaim, { rcx: td.tdr }).text).toBe("TD_ASSOCIATED_PAGES_EXIST");
    const { regs } = host.must(Tdh.PageReclaim, { rcx: td.pages.get(0) ?? 0 });
    expect([regs[Gpr.Rcx], regs[Gpr.Rdx], regs[Gpr.R8]]).toEqual([BigInt(PageType.Reg), BigInt(td.tdr), 0n]);
    td.pages.clear();
    td.reclaim();
    expect(used(host)).toEqual([]);
  });

  it("ends its key only after every vCPU was flushed and every package's cache written back", () => {
    const host = new Host().bringUp();
    const td = new TdHost(host).runnable();
    expect(host.call(Tdh.CacheWb, { rcx: 0 }).text).toBe("NO_HKID_READY_TO_WBCACHE");
    expect(host.call(Tdh.VpFlushDone, { rcx: td.tdr }).text).toBe("FLUSHVP_NOT_DONE");
    expect(host.call(Tdh.VpFlush, { rcx: td.vps[0]?.tdvpr ?? 0 }, { lp: 1 }).text).toBe("VCPU_NOT_ASSOCIATED");
    host.must(Tdh.VpFlush, { rcx: td.vps[0]?.tdvpr ?? 0 });
    expect(td.vcpu().associatedLp).toBe(NOT_ASSOCIATED);
    expect(host.call(Tdh.KeyFreeId, { rcx: td.tdr }).text).toBe("LIFECYCLE_STATE_INCORRECT");
    host.must(Tdh.VpFlushDone, { rcx: td.tdr });
    expect(host.call(Tdh.KeyFreeId, { rcx: td.tdr }).text).toBe("WBCACHE_NOT_COMPLETE");
    host.must(Tdh.CacheWb, { rcx: 0 }, { lp: 0 });
    expect(host.call(Tdh.KeyFreeId, { rcx: td.tdr }).text).toBe("WBCACHE_NOT_COMPLETE");
    expect(host.call(Tdh.PageReclaim, { rcx: td.pages.get(0) ?? 0 }).text).toBe("LIFECYCLE_STATE_INCORRECT");
    host.must(Tdh.CacheWb, { rcx: 0 }, { lp: 2 });
    host.must(Tdh.KeyFreeId, { rcx: td.tdr });
    td.reclaim();
  });
});
