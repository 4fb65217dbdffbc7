import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { SysState } from "../../src/module/module-state.js";
import { PageType } from "../../src/module/page-type.js";
import { FREE_PAGES, GIB, Host, MEMORY, MIB, MODULE_HKID, PAGE, SCRATCH } from "./host.js";
import { Tdh } from "./td-host.js";

const SYS = {
  KeyConfig: 31,
  Info: 32,
  Init: 33,
  Rd: 34,
  LpInit: 35,
  TdmrInit: 36,
  RdAll: 37,
  LpShutdown: 44,
  Config: 45,
  Shutdown: 52,
  Update: 53,
};

/** Initialised on every processor, so that CONFIG is next. */
function initialised(): Host {
  const host = new Host();
  host.must(SYS.Init);
  for (const lp of host.platform.processors.keys()) host.must(SYS.LpInit, {}, { lp });
  return host;
}

function configured(): Host {
  const host = initialised();
  host.must(SYS.Config, { rcx: host.writeTdmrInfo(), rdx: 1, r8: MODULE_HKID });
  return host;
}

describe("the module's own initialisation", () => {
  it("is INIT once, LP.INIT on every processor, CONFIG, and KEY.CONFIG on every package", () => {
    const host = new Host();
    expect(host.call(SYS.LpInit).text).toBe("SYS_LP_INIT_NOT_PENDING");
    host.must(SYS.Init);
    expect(host.call(SYS.Init).text).toBe("SYS_INIT_NOT_PENDING");
    host.must(SYS.LpInit, {}, { lp: 0 });
    expect(host.call(SYS.LpInit, {}, { lp: 0 }).text).toBe("SYS_LP_INIT_DONE");
    const config = { rcx: host.writeTdmrInfo(), rdx: 1, r8: MODULE_HKID };
    expect(host.call(SYS.Config, config).text).toBe("SYS_CONFIG_NOT_PENDING");
    host.must(SYS.LpInit, {}, { lp: 1 });
    host.must(SYS.LpInit, {}, { lp: 2 });
    expect(host.call(SYS.KeyConfig).text).toBe("SYS_KEY_CONFIG_NOT_PENDING");
    host.must(SYS.Config, config);
    expect(host.call(SYS.Config, config).text).toBe("SYS_CONFIG_NOT_PENDING");
    expect(host.call(SYS.TdmrInit, { rcx: 0 }).text).toBe("SYS_NOT_READY");
    host.must(SYS.KeyConfig, {}, { lp: 0 });
    expect(host.call(SYS.KeyConfig, {}, { lp: 1 }).text).toBe("KEY_CONFIGURED");
    expect(host.module.state.sys).toBe(SysState.ConfigDone);
    host.must(SYS.KeyConfig, {}, { lp: 2 });
    expect(host.module.state.sys).toBe(SysState.Ready);
  });

  it("answers SYS_NOT_READY for everything else before, and SYS_SHUTDOWN after the end", () => {
    const host = new Host();
    expect(host.call(Tdh.MngCreate).text).toBe("SYS_NOT_READY");
    expect(host.call(7777).text).toBe("SYS_NOT_READY");
    expect(host.call(SYS.LpShutdown).text).toBe("SUCCESS");
    const ready = new Host().bringUp();
    expect(ready.call(7777).text).toBe("OPERAND_INVALID");
    expect(ready.call(SYS.Shutdown, { rcx: 1 }).text).toBe("OPERAND_INVALID|1");
    ready.must(SYS.Shutdown);
    expect(ready.call(Tdh.MngCreate).text).toBe("SYS_SHUTDOWN");
    expect(ready.call(SYS.Init).text).toBe("SYS_SHUTDOWN");
    expect(ready.call(SYS.LpShutdown).text).toBe("SUCCESS");
  });

  it("has nothing to take over from a module before", () => {
    const host = new Host();
    expect(host.call(SYS.Update).text).toBe("SYS_STATE_INCORRECT");
    expect(initialised().call(SYS.Update).text).toBe("SYS_INVALID_HANDOFF");
  });

  it("needs entropy for its key, and asks to try again", () => {
    let entropy = false;
    const host = new Host({ packages: 1, processors: [{ package: 0 }], random: () => entropy });
    host.must(SYS.Init);
    host.must(SYS.LpInit);
    host.must(SYS.Config, { rcx: host.writeTdmrInfo(), rdx: 1, r8: MODULE_HKID });
    expect(host.call(SYS.KeyConfig).text).toBe("KEY_GENERATION_FAILED");
    entropy = true;
    host.must(SYS.KeyConfig);
  });

  it("refuses a leaf with reserved bits, or a version that the leaf does not have", () => {
    const host = new Host();
    expect(host.call(SYS.Init, { rcx: 1 }).text).toBe("OPERAND_INVALID|1");
    for (const version of [1, 2, 255]) expect(host.call(SYS.Init, {}, { version }).text).toBe("OPERAND_INVALID");
    const regs = new BigUint64Array(16);
    for (const bit of [24n, 31n, 32n, 63n]) {
      regs[Gpr.Rax] = BigInt(SYS.Init) | (1n << bit);
      host.module.seamcall(0, regs);
      expect(regs[Gpr.Rax]).toBe(0xc000_0100_0000_0000n);
    }
    expect(host.module.state.sys).toBe(SysState.InitPending);
    expect(() => host.module.seamcall(3, regs)).toThrow(RangeError);
  });
});

describe("TDH.SYS.CONFIG", () => {
  it("checks where its operands are, how many there are, and the key id, in that order", () => {
    const host = initialised();
    const rcx = host.writeTdmrInfo();
    const config = (operands: object) => host.call(SYS.Config, { rcx, rdx: 1, r8: MODULE_HKID, ...operands }).text;
    expect(config({ rcx: rcx + 8, rdx: 0, r8: 0 })).toBe("OPERAND_INVALID|1");
    expect(config({ rcx: MEMORY })).toBe("OPERAND_INVALID|1");
    expect(config({ rdx: 0, r8: 0 })).toBe("OPERAND_INVALID|2");
    expect(config({ rdx: 65 })).toBe("OPERAND_INVALID|2");
    expect(config({ r8: 15 })).toBe("OPERAND_INVALID|8");
    expect(config({ r8: 20 })).toBe("OPERAND_INVALID|8");
    expect(config({ r8: 0x1_0010 })).toBe("OPERAND_INVALID|8");
    expect(config({})).toBe("SUCCESS");
  });

  it.each<[string, (words: BigUint64Array) => void, string]>([
    ["a base that is not a whole GiB", (w) => (w[0] = 0x1000n), "INVALID_TDMR"],
    ["no size", (w) => (w[1] = 0n), "INVALID_TDMR"],
    ["a size that is not a whole GiB", (w) => (w[1] = 0x2000_0000n), "INVALID_TDMR"],
    ["an end beyond the physical addresses", (w) => (w[1] = 1n << 60n), "INVALID_TDMR"],
    ["an end beyond all addresses", (w) => w.set([0xffff_ffff_c000_0000n, 1n << 30n]), "INVALID_TDMR"],
    ["a reserved area after none", (w) => w.set([0n, 0x1000n], 12), "NON_ORDERED_RESERVED_IN_TDMR|256"],
    ["reserved areas that overlap", (w) => w.set([0x180_0000n, 0x1000n], 10), "NON_ORDERED_RESERVED_IN_TDMR|256"],
    ["a reserved area of half a page", (w) => (w[9] = 0x800n), "INVALID_RESERVED_IN_TDMR"],
    ["a reserved area that ends outside", (w) => w.set([0x3fff_f000n, 0x2000n], 10), "INVALID_RESERVED_IN_TDMR|256"],
    ["a reserved area without end", (w) => w.set([1n << 63n, 1n << 63n], 10), "INVALID_RESERVED_IN_TDMR|256"],
    ["a PAMT of 1 GiB entries that is not aligned", (w) => (w[2] = 0x100_0800n), "INVALID_PAMT|512"],
    ["a PAMT of 2 MiB entries that is too small", (w) => (w[5] = 0x1000n), "INVALID_PAMT|256"],
    ["a PAMT of 4 KiB entries that is too small", (w) => (w[7] = 0x3f_f000n), "INVALID_PAMT"],
    ["a PAMT of 4 KiB entries beyond the addresses", (w) => (w[6] = 1n << 50n), "INVALID_PAMT"],
    ["PAMTs that overlap", (w) => (w[4] = w[2] ?? 0n), "PAMT_OVERLAP|256"],
    ["a PAMT in memory that is not reserved", (w) => (w[6] = 0x300_0000n), "PAMT_OVERLAP"],
    ["a PAMT outside of convertible memory", (w) => (w[6] = 0x8000_0000n), "PAMT_OUTSIDE_CMRS"],
  ])("refuses %s", (_what, change, status) => {
    const host = initialised();
    const rcx = host.writeTdmrInfo(change);
    expect(host.call(SYS.Config, { rcx, rdx: 1, r8: MODULE_HKID }).text).toBe(status);
    expect(host.module.state.sys).toBe(SysState.InitDone);
    host.must(SYS.Config, { rcx: host.writeTdmrInfo(), rdx: 1, r8: MODULE_HKID });
  });

  it("refuses a TDMR with a part that is not convertible", () => {
    const host = initialised();
    const rcx = host.writeTdmrInfo((words) => {
      words[0] = BigInt(4 * GIB);
      words.fill(0n, 8);
    });
    expect(host.call(SYS.Config, { rcx, rdx: 1, r8: MODULE_HKID }).text).toBe("TDMR_OUTSIDE_CMRS");
  });

  it("takes TDMRs in ascending order only, and an array whose addresses are the host's", () => {
    const host = initialised();
    const rcx = host.writeTdmrInfo();
    host.view(rcx).setBigUint64(8, BigInt(SCRATCH), true);
    expect(host.call(SYS.Config, { rcx, rdx: 2, r8: MODULE_HKID }).text).toBe("NON_ORDERED_TDMR|1");
    host.view(rcx).setBigUint64(8, BigInt(SCRATCH + 8), true);
    expect(host.call(SYS.Config, { rcx, rdx: 2, r8: MODULE_HKID }).text).toBe("OPERAND_INVALID|1");
  });
});

describe("TDH.SYS.TDMR.INIT", () => {
  it("goes 4 MiB at a time, and makes 1 GiB usable when it is complete", () => {
    const host = configured();
    host.eachPackage((lp) => host.must(SYS.KeyConfig, {}, { lp }));
    for (let i = 1; i < 256; i++) expect(host.must(SYS.TdmrInit, { rcx: 0 }).regs[Gpr.Rdx]).toBe(0n);
    expect(host.call(Tdh.PageRdMd, { rcx: FREE_PAGES }).text).toBe("OPERAND_ADDR_RANGE_ERROR|1");
    expect(host.must(SYS.TdmrInit, { rcx: 0 }).regs[Gpr.Rdx]).toBe(BigInt(GIB));
    expect(host.must(Tdh.PageRdMd, { rcx: FREE_PAGES }).regs[Gpr.Rcx]).toBe(BigInt(PageType.Nda));
    expect(host.must(Tdh.PageRdMd, { rcx: 16 * MIB }).regs[Gpr.Rcx]).toBe(BigInt(PageType.Rsvd));
    const done = host.call(SYS.TdmrInit, { rcx: 0 });
    expect([done.text, done.regs[Gpr.Rdx]]).toEqual(["TDMR_ALREADY_INITIALIZED", 0n]);
  });

  it("takes the address of a TDMR and no other", () => {
    const host = new Host().bringUp();
    for (const rcx of [PAGE, GIB, 2 ** 45, 2n ** 52n, 2n ** 63n])
      expect(host.call(SYS.TdmrInit, { rcx }).text).toBe("OPERAND_INVALID|1");
  });
});

describe("what the module says of itself", () => {
  it("needs LP.INIT on the processor that asks", () => {
    const host = new Host();
    expect(host.call(SYS.Info).text).toBe("SYS_LP_INIT_NOT_DONE");
    expect(host.call(SYS.Rd).text).toBe("SYS_LP_INIT_NOT_DONE");
    expect(host.call(SYS.RdAll).text).toBe("SYS_LP_INIT_NOT_DONE");
  });

  it("is TDSYSINFO and the list of convertible memory", () => {
    const host = initialised();
    const info = { rcx: SCRATCH, rdx: 1024, r8: SCRATCH + 1024, r9: 32 };
    expect(host.call(SYS.Info, { ...info, rcx: SCRATCH + 512 }).text).toBe("OPERAND_INVALID|1");
    expect(host.call(SYS.Info, { ...info, rdx: 1023 }).text).toBe("OPERAND_INVALID|2");
    expect(host.call(SYS.Info, { ...info, r8: SCRATCH + 8 }).text).toBe("OPERAND_INVALID|8");
    expect(host.call(SYS.Info, { ...info, r9: 31 }).text).toBe("OPERAND_INVALID|9");
    const { regs } = host.must(SYS.Info, info);
    expect([regs[Gpr.Rdx], regs[Gpr.R9]]).toEqual([1024n, 32n]);
    const view = host.view(SCRATCH);
    expect([view.getUint32(4, true), view.getUint16(32, true), view.getUint16(36, true)]).toEqual([0x8086, 64, 16]);
    expect([view.getUint16(48, true), view.getUint16(52, true), view.getUint32(128, true)]).toEqual([
      0x6000, 0x6000, 12,
    ]);
    expect([view.getBigUint64(1024 + 16, true), view.getBigUint64(1024 + 24, true)]).toEqual([
      BigInt(MEMORY / 2),
      BigInt(MEMORY / 2),
    ]);
  });

  it("is read field by field, with the next one in RDX", () => {
    const host = initialised();
    const maxTdmrs = 0x9100_0001_0000_0008n;
    const first = host.call(SYS.Rd, { rdx: 2n ** 64n - 1n });
    expect(first.text).toBe("METADATA_FIRST_FIELD_ID_IN_CONTEXT");
    let field = first.regs[Gpr.Rdx] ?? 0n;
    const seen = new Map<bigint, bigint>();
    while (field !== 2n ** 64n - 1n) {
      const { regs } = host.must(SYS.Rd, { rdx: field });
      seen.set(field & 0xff00_0000_00ff_ffffn, regs[Gpr.R8] ?? 0n);
      field = regs[Gpr.Rdx] ?? 0n;
    }
    expect(seen.get(maxTdmrs & 0xff00_0000_00ff_ffffn)).toBe(64n);
    expect(seen.size).toBeGreaterThan(40);
    expect(host.call(SYS.Rd, { rdx: 0x7f00_0003_0000_0000n }).text).toBe("METADATA_FIELD_ID_INCORRECT");
  });

  it("is dumped as a list, all of it into one page", () => {
    const host = initialised();
    expect(host.call(SYS.RdAll, { rdx: SCRATCH + 8, r8: 0 }).text).toBe("OPERAND_INVALID|2");
    const { regs } = host.must(SYS.RdAll, { rdx: SCRATCH, r8: 2n ** 64n - 1n });
    expect(regs[Gpr.R8]).toBe(2n ** 64n - 1n);
    expect(host.view(SCRATCH).getUint16(0, true)).toBeGreaterThan(100);
  });
});
