import { describe, expect, it } from "vitest";
import { Status } from "../../src/module/status.js";
import { type LockMode, TryLock } from "../../src/module/try-lock.js";
import { Host } from "./host.js";
import { LEAVES, Scene } from "./lock-table.js";
import { TdHost, Tdh } from "./td-host.js";

describe("locks of leaves: what another call holds is answered with OPERAND_BUSY and its operand", () => {
  const scenes = { initialized: new Scene("initialized"), runnable: new Scene("runnable") };

  it.each(LEAVES)("%s", (_name, leaf, operands, state, rows) => {
    const scene = scenes[state];
    const call = () => scene.host.call(leaf, operands(scene) as object).text;
    for (const [name, mode, operand] of rows) {
      const against: LockMode = mode === "E" ? "shared" : "exclusive";
      const lock = scene.locks[name]();
      const release = scene.host.module.hold(lock, against);
      expect(`${name}: ${call()}`).toBe(`${name}: OPERAND_BUSY|${operand}`);
      release();
      // Nothing is left locked: the lock is free for who wants it alone.
      scene.host.module.hold(lock, "exclusive")();
    }
  });

  it("share what they only look at", () => {
    const { host, td, locks } = scenes.runnable;
    for (const name of ["TDR", "TDVPR", "OP_STATE", "EPOCH"] as const) {
      const release = host.module.hold(locks[name](), "shared");
      expect(td.enter().status).toBe(1n);
      release();
    }
    expect(() => {
      const release = host.module.hold(locks.TDR(), "shared");
      try {
        host.module.hold(locks.TDR(), "exclusive");
      } finally {
        release();
      }
    }).toThrow(RangeError);
  });

  it("of the module as a whole are answered with SYS_BUSY", () => {
    const host = new Host();
    const release = host.module.hold(host.module.state.globalLock, "shared");
    for (const leaf of [33, 45, 31, 53]) expect(host.call(leaf).text).toBe("SYS_BUSY");
    release();
    host.module.hold(host.module.state.globalLock, "exclusive")();
    const ready = new Host().bringUp();
    const held = ready.module.hold(ready.module.state.globalLock, "exclusive");
    expect([ready.call(35).text, ready.call(52).text]).toEqual(["SYS_BUSY", "SYS_BUSY"]);
    held();
  });

  it("include those of the 2 MiB and 1 GiB around a page, and of a TDMR", () => {
    const { host, spare } = scenes.runnable;
    for (const size of [1, 2]) {
      const lock = host.module.state.pamt.entry(spare, size) ?? new TryLock();
      const release = host.module.hold(lock, "exclusive");
      expect(host.call(Tdh.PageRdMd, { rcx: spare }).text).toBe("OPERAND_BUSY|1");
      release();
    }
    const tdmr = host.module.state.tdmrs[0];
    const release = host.module.hold(tdmr?.lock ?? new TryLock(), "exclusive");
    expect(host.call(36, { rcx: 0 }).text).toBe("OPERAND_BUSY|1");
    release();
  });

  it("are held by a vCPU that runs: TDVPR and TDR shared, and not OP_STATE", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    const rcx = td.vps[0]?.tdvpr ?? 0;
    const seen: string[] = [];
    td.cpu().script.push(() => {
      for (const [leaf, operands] of [
        [Tdh.VpFlush, { rcx }],
        [Tdh.VpFlushDone, { rcx: td.tdr }],
        [Tdh.VpEnter, { rcx }],
        [Tdh.VpRd, { rcx }],
        [52, { rcx: 0 }],
      ] as const)
        seen.push(td.host.call(leaf, operands, { lp: 1 }).text);
      td.host.module.hold(td.td.opStateLock, "exclusive")();
      return { reason: "external-interrupt" };
    });
    td.enter();
    expect(seen).toEqual([
      "OPERAND_BUSY|1",
      "OPERAND_BUSY|1",
      "VCPU_STATE_INCORRECT",
      "VCPU_STATE_INCORRECT",
      "SYS_BUSY",
    ]);
  });
});

describe("a lock with host priority", () => {
  it("turns guests away after a host could not get it, until a host has had it", () => {
    const lock = new TryLock(true);
    expect(lock.acquire("shared", true)).toBe(Status.SUCCESS);
    expect(lock.acquire("exclusive")).toBe(Status.OPERAND_BUSY);
    expect(lock.acquire("shared", true)).toBe(Status.OPERAND_BUSY_HOST_PRIORITY);
    lock.release("shared");
    expect([lock.isFree, lock.hostPriority]).toEqual([true, true]);
    expect(lock.acquire("exclusive", true)).toBe(Status.OPERAND_BUSY_HOST_PRIORITY);
    expect(lock.acquire("exclusive")).toBe(Status.SUCCESS);
    expect(lock.acquire("exclusive", true)).toBe(Status.OPERAND_BUSY);
    lock.release("exclusive");
    expect(lock.acquire("shared", true)).toBe(Status.SUCCESS);
  });

  it("is what an entry of the secure EPT has in itself", () => {
    const td = new TdHost(new Host().bringUp()).runnable();
    const entry = td.td.sept?.find(0, 0);
    expect(entry?.acquire("exclusive", true)).toBe(Status.SUCCESS);
    expect(td.host.call(Tdh.SeptRd, { rcx: 0, rdx: td.tdr }).text).toBe("OPERAND_BUSY|1");
    entry?.release();
    expect(entry?.acquire("exclusive", true)).toBe(Status.OPERAND_BUSY_HOST_PRIORITY);
    td.host.must(Tdh.SeptRd, { rcx: 0, rdx: td.tdr });
    expect([entry?.acquire("exclusive", true), entry?.state]).toEqual([Status.SUCCESS, 0x60]);
  });
});
