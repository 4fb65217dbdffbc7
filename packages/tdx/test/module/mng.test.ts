import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { OpState } from "../../src/module/td.js";
import { FREE_PAGES, HKIDS, Host, MEMORY, MIB, MODULE_HKID, PAGE, SCRATCH } from "./host.js";
import { TdHost, Tdh } from "./td-host.js";

describe("TDH.MNG.CREATE", () => {
  it("takes a private key id that is free", () => {
    const host = new Host().bringUp();
    const create = (rdx: number | bigint) => host.call(Tdh.MngCreate, { rcx: FREE_PAGES, rdx }).text;
    expect(create(HKIDS.first - 1)).toBe("OPERAND_INVALID|2");
    expect(create(HKIDS.first + HKIDS.count)).toBe("OPERAND_INVALID|2");
    expect(create(0x1_0011n)).toBe("OPERAND_INVALID|2");
    expect(create(MODULE_HKID)).toBe("HKID_NOT_FREE");
    expect(create(17)).toBe("SUCCESS");
    expect(host.call(Tdh.MngCreate, { rcx: FREE_PAGES + PAGE, rdx: 17 }).text).toBe("HKID_NOT_FREE");
  });

  it("takes a page that is nobody's", () => {
    const host = new Host().bringUp();
    const create = (rcx: number | bigint) => host.call(Tdh.MngCreate, { rcx, rdx: 17 }).text;
    expect(create(FREE_PAGES + 8)).toBe("OPERAND_INVALID|1");
    expect(create(2n ** 52n)).toBe("OPERAND_INVALID|1");
    expect(create(BigInt(FREE_PAGES) | (17n << BigInt(host.module.state.hkidShift)))).toBe("OPERAND_INVALID|1");
    expect(create(MEMORY)).toBe("OPERAND_ADDR_RANGE_ERROR|1");
    expect(create(16 * MIB)).toBe("PAGE_METADATA_INCORRECT|1");
    host.must(Tdh.MngCreate, { rcx: FREE_PAGES, rdx: 18 });
    expect(create(FREE_PAGES)).toBe("PAGE_METADATA_INCORRECT|1");
  });

  it("needs entropy for the TD's UUID; without, nothing has changed", () => {
    let entropy = true;
    const host = new Host({ random: () => entropy }).bringUp();
    entropy = false;
    expect(host.call(Tdh.MngCreate, { rcx: FREE_PAGES, rdx: 17 }).text).toBe("RND_NO_ENTROPY");
    entropy = true;
    const td = new TdHost(host).create();
    entropy = false;
    expect(host.call(Tdh.MngKeyConfig, { rcx: td.tdr }).text).toBe("KEY_GENERATION_FAILED");
  });
});

describe("TDH.MNG.ADDCX", () => {
  it("waits for the keys, and takes 6 to 9 pages before MNG.INIT", () => {
    const host = new Host().bringUp();
    const td = new TdHost(host).create();
    expect(host.call(Tdh.MngAddCx, { rcx: host.alloc(), rdx: td.tdr }).text).toBe("TD_KEYS_NOT_CONFIGURED");
    td.configureKeys().addControlPages(5);
    expect(host.call(Tdh.MngInit, { rcx: td.tdr, rdx: SCRATCH }).text).toBe("TDCS_NOT_ALLOCATED");
    td.addControlPages(3);
    expect(host.call(Tdh.MngAddCx, { rcx: td.tdr, rdx: td.tdr }).text).toBe("OPERAND_BUSY|1");
    expect(host.call(Tdh.MngAddCx, { rcx: td.tdcx[0] ?? 0, rdx: td.tdr }).text).toBe("PAGE_METADATA_INCORRECT|1");
    td.init();
    expect(host.call(Tdh.MngAddCx, { rcx: host.alloc(), rdx: td.tdr }).text).toBe("OP_STATE_INCORRECT");
    const full = new TdHost(host, 18).create().configureKeys().addControlPages(9);
    expect(host.call(Tdh.MngAddCx, { rcx: host.alloc(), rdx: full.tdr }).text).toBe("TDCX_NUM_INCORRECT");
  });
});

/** A TD that waits for MNG.INIT. */
function waiting(): TdHost {
  return new TdHost(new Host().bringUp()).create().configureKeys().addControlPages();
}

describe("TDH.MNG.INIT", () => {
  it("is for a TD that is not initialised, with TD_PARAMS in 1024 aligned bytes of the host's", () => {
    const td = waiting();
    for (const rdx of [SCRATCH + 512, MEMORY, td.tdcx[0] ?? 0, 2n ** 60n])
      expect(td.host.call(Tdh.MngInit, { rcx: td.tdr, rdx }).text).toBe("OPERAND_INVALID|2");
    td.init();
    expect(td.host.call(Tdh.MngInit, { rcx: td.tdr, rdx: td.writeParams() }).text).toBe("OP_STATE_INCORRECT");
  });

  it("names what is wrong with TD_PARAMS, the first of all in its order of checks", () => {
    const td = waiting();
    const wrong: [string, (view: DataView) => void][] = [
      ["64", (v) => v.setBigUint64(0, 2n, true)],
      ["65", (v) => v.setBigUint64(8, 1n, true)],
      ["68", (v) => v.setUint16(16, 0, true)],
      ["71", (v) => v.setUint8(18, 1)],
      ["2", (v) => v.setUint8(23, 1)],
      ["66", (v) => v.setBigUint64(32, 8n, true)],
      ["67", (v) => v.setBigUint64(24, 0x1fn, true)],
      ["70", (v) => v.setUint16(40, 3, true)],
      ["2", (v) => v.setUint8(42, 1)],
      ["2", (v) => v.setUint8(19, 2)],
      ["2", (v) => v.setUint8(232, 1)],
      ["69", (v) => v.setUint32(256 + 12, 1, true)],
      ["2", (v) => v.setUint8(1023, 1)],
      ["72", (v) => v.setBigUint64(224, 1n << 4n, true)],
    ];
    for (let from = 0; from < wrong.length; from++) {
      const rdx = td.writeParams({}, (view) => {
        for (const [, change] of wrong.slice(from)) change(view);
      });
      const result = td.host.call(Tdh.MngInit, { rcx: td.tdr, rdx });
      expect([from, result.text]).toEqual([from, `OPERAND_INVALID|${wrong[from]?.[0]}`]);
    }
    expect(td.td.opState).toBe(OpState.Uninitialized);
    td.init();
  });

  it("says in RCX which CPUID leaf was wrong, else 0", () => {
    const td = waiting();
    const rdx = td.writeParams({}, (view) => view.setUint32(256 + 12, 1, true));
    expect(td.host.call(Tdh.MngInit, { rcx: td.tdr, rdx }).regs[Gpr.Rcx]).toBe(0xffff_ffff_0000_0001n);
    const { regs } = td.host.must(Tdh.MngInit, { rcx: td.tdr, rdx: td.writeParams() });
    expect(regs[Gpr.Rcx]).toBe(0n);
  });

  it.each<[string, Parameters<TdHost["init"]>[0], string]>([
    ["AVX-512 without AVX", { xfam: 0xe3n }, "OPERAND_INVALID|65"],
    ["features that the processor does not have", { xfam: 0x203n }, "OPERAND_INVALID|65"],
    ["5 levels and 48 bits", { eptp: 0x26n }, "OPERAND_INVALID|67"],
    ["52 bits and 4 levels", { configFlags: 1n }, "OPERAND_INVALID|67"],
    ["access and dirty bits", { eptp: 0x5en }, "OPERAND_INVALID|67"],
    ["a counter of 10 GHz and more", { tscFrequency: 401 }, "OPERAND_INVALID|70"],
    ["migration", { attributes: 1n << 29n }, "OPERAND_INVALID|64"],
  ])("refuses %s", (_what, params, status) => {
    const td = waiting();
    expect(td.host.call(Tdh.MngInit, { rcx: td.tdr, rdx: td.writeParams(params) }).text).toBe(status);
  });

  it("starts with zeroed measurements, epoch 1, and a counter that starts at zero", () => {
    const { td } = waiting().init({ configFlags: 4n });
    expect([td.opState, td.epoch.current, td.gpaBits]).toEqual([OpState.Initialized, 1, 48]);
    expect(td.rtmrs.every((rtmr) => rtmr.every((byte) => byte === 0))).toBe(true);
    expect(td.tscMultiplier).toBe(((40n * 25_000_000n) << 48n) / 2_000_000_000n);
  });
});

describe("metadata of a TD", () => {
  it("is read and written by field id, with the next field from version 1 on", () => {
    const td = waiting().init({ attributes: 1n << 28n });
    const attributes = 0x1110_0003_0000_0000n;
    expect(td.host.must(Tdh.MngRd, { rcx: td.tdr, rdx: attributes }).regs[Gpr.R8]).toBe(1n << 28n);
    const { regs } = td.host.must(Tdh.MngRd, { rcx: td.tdr, rdx: attributes }, { version: 1 });
    expect(regs[Gpr.Rdx]).not.toBe(attributes);
    const first = td.host.call(Tdh.MngRd, { rcx: td.tdr, rdx: 2n ** 64n - 1n }, { version: 1 });
    expect(first.text).toBe("METADATA_FIRST_FIELD_ID_IN_CONTEXT");
    expect(td.host.call(Tdh.MngRd, { rcx: td.tdr, rdx: attributes }, { version: 2 }).text).toBe("OPERAND_INVALID");
    const refused = td.host.call(Tdh.MngWr, { rcx: td.tdr, rdx: attributes, r8: 1, r9: 1 });
    expect(refused.text).toBe("METADATA_FIELD_NOT_WRITABLE");
    expect(td.host.call(Tdh.MngRd, { rcx: td.tdr, rdx: 1n << 62n }).text).toBe("METADATA_FIELD_ID_INCORRECT");
  });

  it("is not there before MNG.INIT", () => {
    const td = waiting();
    expect(td.host.call(Tdh.MngRd, { rcx: td.tdr, rdx: 0 }).text).toBe("OP_STATE_INCORRECT");
    expect(td.host.call(Tdh.MngWr, { rcx: td.tdr, rdx: 0 }).text).toBe("OP_STATE_INCORRECT");
  });
});
