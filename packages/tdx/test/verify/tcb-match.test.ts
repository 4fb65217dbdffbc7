import { describe, expect, it } from "vitest";
import { PLATFORM } from "../../src/simulated/certificates.js";
import { parseTcbInfo, type SvnLevel } from "../../src/verify/tcb-info.js";
import { matchTcb } from "../../src/verify/tcb-match.js";
import { converge, PLATFORM_STATUSES, type TcbStatus } from "../../src/verify/tcb-status.js";
import { Forge, type Loose, level, svnLevel } from "./forge.js";

const svn = (...bytes: number[]): Uint8Array => Uint8Array.from({ length: 16 }, (_, i) => bytes[i] ?? 0);
const qe = (status: TcbStatus = "UpToDate", ...advisoryIds: string[]): SvnLevel<TcbStatus> => ({
  isvSvn: 1,
  status,
  advisoryIds,
});

/** Levels that count with a TCB info that a test changes. */
function match(change: (info: Loose) => void, svn1: Uint8Array, svn2?: Uint8Array, enclave = qe()) {
  const { tcbInfo } = new Forge();
  change(tcbInfo);
  return matchTcb(parseTcbInfo(JSON.stringify(tcbInfo)), PLATFORM, { svn: svn1, svn2 }, enclave);
}
const unchanged = (): void => undefined;

describe("TCB status, as Intel's quote verification library converges it", () => {
  const rows: readonly (readonly [TcbStatus, outOfDate: TcbStatus])[] = [
    ["UpToDate", "OutOfDate"],
    ["SWHardeningNeeded", "OutOfDate"],
    ["ConfigurationNeeded", "OutOfDateConfigurationNeeded"],
    ["ConfigurationAndSWHardeningNeeded", "OutOfDateConfigurationNeeded"],
    ["OutOfDate", "OutOfDate"],
    ["OutOfDateConfigurationNeeded", "OutOfDateConfigurationNeeded"],
    ["Revoked", "Revoked"],
  ];

  it.each(rows)("%s, with a part that is OutOfDate, is %s", (platform, together) => {
    expect(converge(platform, "OutOfDate")).toBe(together);
    expect(converge(platform, "UpToDate")).toBe(platform);
    expect(converge(platform, "Revoked")).toBe("Revoked");
  });

  it("covers all statuses that a level may have", () => {
    expect(rows.map(([status]) => status).sort()).toEqual([...PLATFORM_STATUSES].sort());
  });

  it("with a major version of the TDX module, its two SVNs count in its identity and not in the levels", () => {
    const change = (info: Loose) => {
      info.tcbLevels = [level("UpToDate", [1], 1, [200, 200, 6])];
    };
    expect(match(change, svn(4, 1, 6))).toMatchObject({ status: "UpToDate" });
    expect(match(change, svn(4, 0, 6))).toBe("TDX");
  });

  it("the highest level counts that all SVNs reach, whatever the order of the levels", () => {
    const change = (info: Loose) => info.tcbLevels.reverse();
    expect(match(change, svn(4, 1, 6))).toMatchObject({ status: "UpToDate" });
    expect(match(change, svn(4, 1, 5))).toMatchObject({ status: "OutOfDate", advisoryIds: ["SA-OLD"] });
  });

  it("names the advisories of all parts, each once", () => {
    const found = match(
      (info) => {
        info.tdxModuleIdentities[1].tcbLevels = [svnLevel("OutOfDate", 1, "SA-MODULE", "SA-OLD")];
      },
      svn(2, 1, 5),
      undefined,
      qe("OutOfDate", "SA-QE", "SA-MODULE"),
    );
    expect(found).toMatchObject({ status: "OutOfDate", advisoryIds: ["SA-OLD", "SA-MODULE", "SA-QE"] });
  });

  it("names what has no level", () => {
    const high = (info: Loose) => {
      info.tcbLevels = [level("UpToDate", [2], 1, [])];
    };
    expect(match(high, svn(4, 1, 6))).toBe("SGX");
    expect(match(unchanged, svn(4, 1, 4))).toBe("TDX");
    expect(match(unchanged, svn(1, 1, 6))).toBe("TDX module");
    const info = parseTcbInfo(JSON.stringify(new Forge().tcbInfo));
    expect(matchTcb(info, PLATFORM, { svn: svn(4, 1, 6), svn2: undefined }, undefined)).toBe("QE");
  });

  describe("launching a TD again is advised", () => {
    const old = svn(3, 1, 6);

    it("if only the module was out of date when it was made, and is not now", () => {
      expect(match(unchanged, old, svn(4, 1, 6))).toMatchObject({ status: "TDRelaunchAdvised" });
    });

    it("and a configuration is needed, if the platform needs one", () => {
      const change = (info: Loose) => {
        info.tcbLevels[0].tcbStatus = "ConfigurationNeeded";
      };
      const status = "TDRelaunchAdvisedConfigurationNeeded";
      expect(match(change, old, svn(4, 1, 6))).toMatchObject({ status });
    });

    it("with a module of version 0 now, if its SVNs reach the latest level's", () => {
      expect(match(unchanged, old, svn(4, 0, 6))).toMatchObject({ status: "TDRelaunchAdvised" });
      expect(match(unchanged, old, svn(3, 0, 6))).toMatchObject({ status: "OutOfDate" });
    });

    it.each([
      ["the module is still out of date", svn(3, 1, 6)],
      ["the microcode is out of date", svn(4, 1, 5)],
      ["there is no second SVN", undefined],
    ])("but not if %s", (_, now) => {
      expect(match(unchanged, old, now)).toMatchObject({ status: "OutOfDate" });
    });

    it("but not if the quoting enclave is out of date, or the platform", () => {
      expect(match(unchanged, old, svn(4, 1, 6), qe("OutOfDate"))).toMatchObject({ status: "OutOfDate" });
      const change = (info: Loose) => {
        info.tcbLevels[0].tcbStatus = "OutOfDate";
      };
      expect(match(change, old, svn(4, 1, 6))).toMatchObject({ status: "OutOfDate" });
    });

    it("and a module that the TCB info does not know is none", () => {
      expect(match(unchanged, old, svn(4, 9, 6))).toBe("TDX module");
    });
  });
});
