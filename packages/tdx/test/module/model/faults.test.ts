import { afterEach, describe, expect, it, vi } from "vitest";
import { Mrtd } from "../../../src/measure/mrtd.js";
import { Kot } from "../../../src/module/kot.js";
import { ModuleState } from "../../../src/module/module-state.js";
import { PageType } from "../../../src/module/page-type.js";
import { Pamt, PamtEntry } from "../../../src/module/pamt.js";
import { Seamcall } from "../../../src/module/seamcall.js";
import { SecureEpt, SeptEntry } from "../../../src/module/sept.js";
import { SeptState } from "../../../src/module/sept-state.js";
import { Td } from "../../../src/module/td.js";
import { TdEpoch } from "../../../src/module/td-epoch.js";
import { InvariantError } from "../check-module.js";
import { ModelCpu } from "./model-cpu.js";
import { exploreZaps } from "./schedules.js";
import { runSequences } from "./sequences.js";

/** Sequences within which a planted fault has to show. */
const WITHIN = 400;

/** Runs until an invariant does not hold; its code, or "nothing". */
function found(): string {
  for (const seed of [1, 2, 3, 4]) {
    try {
      runSequences(seed, WITHIN / 4);
    } catch (error) {
      if (error instanceof InvariantError) return error.code;
      throw error;
    }
  }
  return "nothing";
}

afterEach(() => vi.restoreAllMocks());

describe("faults planted into the module, which the model has to find", () => {
  it("a page can be removed without tracking (I4)", () => {
    vi.spyOn(TdEpoch.prototype, "isTracked").mockReturnValue(true);
    expect(found()).toBe("I4");
  }, 120_000);

  it("TRACK does not look whether vCPUs still run in the epoch before (I4)", () => {
    vi.spyOn(TdEpoch.prototype, "advance").mockImplementation(function (this: TdEpoch) {
      this.current++;
      return true;
    });
    expect(["I4", "epoch"]).toContain(found());
  }, 120_000);

  it("a vCPU that comes back in a later epoch keeps its translations (I4)", () => {
    vi.spyOn(ModelCpu.prototype, "flushTlb").mockReturnValue(undefined);
    expect(found()).toBe("I4");
  }, 120_000);

  it("a vCPU that leaves is not counted off (I8)", () => {
    vi.spyOn(TdEpoch.prototype, "leave").mockReturnValue(undefined);
    expect(["I8", "epoch"]).toContain(found());
  }, 120_000);

  it("blocking leaves the guest its rights (I3)", () => {
    const real = SeptEntry.prototype.setState;
    vi.spyOn(SeptEntry.prototype, "setState").mockImplementation(function (this: SeptEntry, state) {
      real.call(this, state, state === SeptState.Pending || state === SeptState.PendingBlocked ? 0 : 7);
    });
    expect(["I3", "I4"]).toContain(found());
  }, 120_000);

  it("an augmented page is mapped without ACCEPT (I3)", () => {
    const real = SeptEntry.prototype.setLeaf;
    vi.spyOn(SeptEntry.prototype, "setLeaf").mockImplementation(function (this: SeptEntry, state, hpa, rights) {
      real.call(this, state, hpa, state === SeptState.Pending ? 7 : rights);
    });
    expect(found()).toBe("I3");
  }, 120_000);

  it("the processor's walk finds a page by the wrong entry (I2)", () => {
    const real = SecureEpt.prototype.walk;
    vi.spyOn(SecureEpt.prototype, "walk").mockImplementation(function (this: SecureEpt, gfn, want) {
      return real.call(this, gfn === 3 ? 2 : gfn, want);
    });
    expect(["I2", "I3"]).toContain(found());
  }, 120_000);

  it("a page of another TD is as good as a free one (I2)", () => {
    const real = Seamcall.prototype.freePage;
    vi.spyOn(Seamcall.prototype, "freePage").mockImplementation(function (this: Seamcall, gpr, size) {
      const page = real.call(this, gpr, size);
      if (typeof page !== "bigint") return page;
      const hpa = this.privateAddress(gpr, 0);
      const entry = typeof hpa === "number" ? this.module.pamt.entry(hpa, 0) : undefined;
      return typeof hpa === "number" && entry?.type === PageType.Reg ? { hpa, entry } : page;
    });
    expect(found()).toBe("I2");
  }, 120_000);

  it("a removed page stays the TD's in the PAMT (I1, I7)", () => {
    vi.spyOn(PamtEntry.prototype, "type", "set").mockImplementation(function (this: PamtEntry, type) {
      if (this.type !== PageType.Reg) this.entries.types[this.index] = type;
    });
    expect(["I1", "I7"]).toContain(found());
  }, 120_000);

  it("the content of a page stays in it when it goes back (I1)", () => {
    vi.spyOn(ModuleState.prototype, "scramble").mockReturnValue(undefined);
    expect(found()).toBe("I1");
  }, 120_000);

  it("tables count as the host's (I1)", () => {
    const real = Pamt.prototype.typeOf;
    vi.spyOn(Pamt.prototype, "typeOf").mockImplementation(function (this: Pamt, hpa) {
      const type = real.call(this, hpa);
      return type === PageType.Ept ? PageType.Nda : type;
    });
    expect(found()).toBe("I1");
  }, 120_000);

  it("the measurement forgets where a page was added (I5)", () => {
    const real = Mrtd.prototype.pageAdd;
    let calls = 0;
    vi.spyOn(Mrtd.prototype, "pageAdd").mockImplementation(function (this: Mrtd, gpa) {
      // Of the two that measure each page, the module's comes first.
      real.call(this, calls++ % 2 === 0 ? 0 : gpa);
    });
    expect(found()).toBe("I5");
  }, 120_000);

  it("a page is not counted (I7, I8)", () => {
    const real = Object.getOwnPropertyDescriptor(SeptEntry.prototype, "clear")?.value as SeptEntry["clear"];
    const tds = new Set<Td>();
    vi.spyOn(SeptEntry.prototype, "clear").mockImplementation(function (this: SeptEntry, state) {
      real.call(this, state);
      for (const td of tds) td.chldcnt++;
    });
    const open = Seamcall.prototype.end;
    vi.spyOn(Seamcall.prototype, "end").mockImplementation(function (this: Seamcall) {
      if (this.td instanceof Td) tds.add(this.td);
      open.call(this);
    });
    expect(["I7", "I8"]).toContain(found());
  }, 120_000);

  it("a key that is in use is given to a second TD", () => {
    const real = Kot.prototype.entry;
    vi.spyOn(Kot.prototype, "entry").mockImplementation(function (this: Kot, hkid) {
      const entry = real.call(this, hkid);
      return entry && { ...entry, state: entry.state === 1 ? 0 : entry.state };
    });
    expect(["keys", "I8"]).toContain(found());
  }, 120_000);

  it("in the explorer of interleavings: a vCPU keeps its translations (I4)", () => {
    vi.spyOn(ModelCpu.prototype, "flushTlb").mockReturnValue(undefined);
    expect(() => exploreZaps(300, 1)).toThrow("I4");
  }, 120_000);

  it("in the explorer of interleavings: a vCPU that leaves is not counted off (I8)", () => {
    vi.spyOn(TdEpoch.prototype, "leave").mockReturnValue(undefined);
    expect(() => exploreZaps(300, 1)).toThrow("I8");
  }, 120_000);

  it("in the explorer of interleavings: blocking leaves the guest its rights (I3)", () => {
    const real = SeptEntry.prototype.setState;
    vi.spyOn(SeptEntry.prototype, "setState").mockImplementation(function (this: SeptEntry, state, rights) {
      real.call(this, state, state === SeptState.Blocked ? 7 : rights);
    });
    expect(() => exploreZaps(300, 1)).toThrow("I3");
  }, 120_000);

  it("and without a fault there is nothing", () => {
    expect(found()).toBe("nothing");
  }, 120_000);
});
