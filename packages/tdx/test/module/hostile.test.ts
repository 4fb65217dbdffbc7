import { describe, expect, it } from "vitest";
import { SysState } from "../../src/module/module-state.js";
import { statusName } from "../../src/module/status.js";
import { checkModule } from "./check-module.js";
import { GIB, Host, MODULE_HKID, PAGE, SCRATCH } from "./host.js";
import { Random } from "./random.js";
import { TdHost, Tdh } from "./td-host.js";

const SYS_CONFIG = 45;
/** Values at which ranges begin, end, wrap and lose their low bits. */
const EDGES = [
  0n,
  1n,
  BigInt(PAGE),
  BigInt(GIB),
  2n ** 46n,
  2n ** 52n,
  2n ** 53n + 1n,
  2n ** 63n,
  2n ** 64n - 1n,
  2n ** 64n - BigInt(PAGE),
];

describe("structures in the host's memory, whatever is in them", () => {
  it("TDMR_INFO is refused with a status that says where, or taken if it is right", () => {
    const random = new Random(5);
    let taken = 0;
    for (let i = 0; i < 600; i++) {
      const host = new Host();
      host.must(33);
      for (const lp of host.platform.processors.keys()) host.must(35, {}, { lp });
      const rcx = host.writeTdmrInfo((words) => {
        for (let changes = random.below(4); changes > 0; changes--)
          words[random.below(40)] = random.chance(3) ? random.u64() : random.pick(EDGES);
      });
      const { status } = host.call(SYS_CONFIG, { rcx, rdx: 1, r8: MODULE_HKID });
      expect(statusName(status)).toBeDefined();
      expect(host.module.state.sys).toBe(status === 0n ? SysState.ConfigDone : SysState.InitDone);
      for (const { base, size } of host.module.state.tdmrs)
        expect(host.module.state.isConvertible(base, size / 2)).toBe(true);
      if (status === 0n) taken++;
    }
    expect(taken).toBeGreaterThan(50);
  });

  it("TD_PARAMS is refused with the operand that is wrong, or taken if it is right", () => {
    const random = new Random(6);
    const host = new Host().bringUp();
    let td = new TdHost(host).create().configureKeys().addControlPages();
    let taken = 0;
    for (let i = 0; i < 400; i++) {
      const rdx = td.writeParams({}, (view) => {
        for (let changes = random.below(3); changes > 0; changes--) {
          const at = 8 * random.below(random.chance(2) ? 8 : 128);
          view.setBigUint64(at, random.chance(3) ? random.u64() : random.pick(EDGES), true);
        }
        if (random.chance(20)) for (let at = 0; at < 1024; at += 4) view.setUint32(at, random.u32(), true);
      });
      const { text } = host.call(Tdh.MngInit, { rcx: td.tdr, rdx });
      expect(text).toMatch(/^(SUCCESS|OPERAND_INVALID\|(2|6[4-9]|7[0-2]))$/);
      if (text !== "SUCCESS") continue;
      taken++;
      td.destroy();
      td = new TdHost(host).create().configureKeys().addControlPages();
    }
    checkModule(host.module.state);
    expect(taken).toBeGreaterThan(20);
    expect(host.page(SCRATCH).length).toBe(PAGE);
  });
});
