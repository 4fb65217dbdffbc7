import "./verified-once.js";
import { describe, expect, it } from "vitest";
import type { Policy } from "../../src/verify/policy.js";
import { verifyQuote } from "../../src/verify/verify.js";
import { Forge, level, NOW, svnLevel } from "./forge.js";

/** Codes of what is found about a quote that a test changes, under a policy. */
function codes(change: (forge: Forge) => void, policy: Policy): string[] {
  const forge = new Forge();
  change(forge);
  const { quote, collateral, root } = forge.build();
  return verifyQuote(quote, { collateral: JSON.stringify(collateral), root, time: NOW, policy }).reasons.map(
    ({ code }) => code,
  );
}

const unchanged = (): void => undefined;
const set = (change: object) => (forge: Forge) => void Object.assign(forge.report, change);

describe("a policy", () => {
  it("accepts statuses by their names, and only those", () => {
    const outdated = (forge: Forge) => {
      forge.tcbInfo.tcbLevels = [level("OutOfDate", [1], 1, [4, 0, 6])];
    };
    expect(codes(outdated, { acceptedStatuses: ["OutOfDate"] })).toEqual([]);
    expect(codes(outdated, { acceptedStatuses: ["SWHardeningNeeded"] })).toEqual(["TCB_STATUS"]);
    expect(codes(unchanged, { acceptedStatuses: ["OutOfDate"] })).toEqual(["TCB_STATUS"]);
    expect(codes(unchanged, { acceptedStatuses: [] })).toEqual(["TCB_STATUS"]);
  });

  it("never accepts what is revoked", () => {
    const revoked = (forge: Forge) => {
      forge.qeIdentity.tcbLevels = [svnLevel("Revoked", 1)];
    };
    for (const status of ["Revoked", "NotSupported"] as const)
      expect(() => codes(revoked, { acceptedStatuses: [status] })).toThrow(status);
  });

  it("may allow a debugger", () => {
    const debug = set({ tdAttributes: (1n << 28n) | 1n });
    expect(codes(debug, {})).toEqual(["DEBUG"]);
    expect(codes(debug, { allowDebug: true })).toEqual([]);
  });

  it("may allow attributes, and a TD without SEPT_VE_DISABLE", () => {
    const migratable = set({ tdAttributes: (1n << 28n) | (1n << 29n) });
    expect(codes(migratable, {})).toEqual(["TD_ATTRIBUTES"]);
    expect(codes(migratable, { allowedAttributes: (1n << 28n) | (1n << 29n) })).toEqual([]);
    const open = set({ tdAttributes: 0n });
    expect(codes(open, {})).toEqual(["TD_ATTRIBUTES"]);
    expect(codes(open, { allowSeptVe: true })).toEqual([]);
  });

  it("may name the service TDs", () => {
    const mrServiceTd = new Uint8Array(48).fill(5);
    expect(codes(set({ mrServiceTd }), { mrServiceTd })).toEqual([]);
    expect(codes(unchanged, { mrServiceTd })).toEqual(["SERVICE_TD"]);
    const silent = (forge: Forge) => {
      forge.version = 4;
    };
    expect(codes(silent, {})).toEqual([]);
    expect(codes(silent, { mrServiceTd })).toEqual(["SERVICE_TD"]);
  });

  it("may demand an evaluation of the TCB", () => {
    expect(codes(unchanged, { minimumTcbEvaluation: 1 })).toEqual([]);
    expect(codes(unchanged, { minimumTcbEvaluation: 2 })).toEqual(["TCB_EVALUATION", "TCB_EVALUATION"]);
  });

  it("may expect measurements", () => {
    const mrTd = new Uint8Array(48).fill(0x11);
    expect(codes(unchanged, { expected: { mrTd } })).toEqual([]);
    expect(codes(unchanged, { expected: { mrTd: mrTd.with(47, 0) } })).toEqual(["EXPECTED"]);
    expect(codes(unchanged, { expected: { reportData: new Uint8Array(64) } })).toEqual(["EXPECTED"]);
  });
});
