import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bucketOf } from "../src/guest/sleepers.js";
import { ApfArea, AsyncPfError, KvmFeature, WAKE_ALL } from "../src/index.js";
import { FakeGuest } from "./fake-guest.js";

const isName = (task: unknown): task is string => typeof task === "string";
const ACK = (cpu: number) => `wrmsr ${cpu} 4b564d07 0:1`;

describe("the guest's side since Linux 5.8 (arch/x86/kernel/kvm.c)", () => {
  it("a CPU that comes up writes INT, then EN with the address of its area, then its own word", () => {
    const g = new FakeGuest();
    expect(g.guest.online(1)).toBe(true);
    expect(g.taken()).toEqual(["wrmsr 1 4b564d06 0:f3", "wrmsr 1 4b564d02 0:208d"]);
    expect(g.word(1, ApfArea.Enabled)).toBe(1);
    const noNested = new FakeGuest({ features: KvmFeature.AsyncPf | KvmFeature.AsyncPfInt });
    noNested.guest.online(0);
    expect(noNested.taken()[1]).toBe("wrmsr 0 4b564d02 0:2009");
  });

  it("without bit 14 of CPUID it does nothing", () => {
    const g = new FakeGuest({ features: KvmFeature.AsyncPf | KvmFeature.AsyncPfVmexit });
    expect([g.guest.online(0), g.taken(), g.word(0, ApfArea.Enabled)]).toEqual([false, [], 0]);
  });

  it("a #PF for the host's sake takes the flags away, and its task sleeps until its token comes", () => {
    const g = new FakeGuest().online(0);
    const outcome = g.fault(0, 0x1000);
    expect(outcome).toMatchObject({ kind: "sleep", node: { token: 0x1000, cpu: 0, halts: false, hashed: true } });
    expect([g.word(0, ApfArea.Flags), g.ready(0, 0x1000), g.taken()]).toEqual([
      0,
      "done",
      ["eoi 0", "wake task 1000", ACK(0)],
    ]);
    expect(outcome).toMatchObject({ node: { hashed: false } });
    expect([g.word(0, ApfArea.Token), g.guest.sleepers]).toEqual([0, []]);
  });

  it("17: a token that comes before its task waits is noted, and the task does not wait", () => {
    const g = new FakeGuest().online(0, 1);
    g.ready(1, 0x1000);
    expect(g.guest.sleepers).toMatchObject([{ token: 0x1000, cpu: 1, task: null }]);
    expect([g.fault(0, 0x1000), g.guest.sleepers]).toEqual([{ kind: "retry" }, []]);
    expect(g.fault(0, 0x1000).kind).toBe("sleep");
  });

  it("20: a #PF while flags are 0 is the guest's own; so is every one on a CPU that is not switched on", () => {
    const g = new FakeGuest().online(0);
    expect(g.fault(0, 0x1000, {}, 0)).toEqual({ kind: "ordinary" });
    expect(g.fault(0, 0x1000, { userMode: false, interruptsEnabled: false }, 0)).toEqual({ kind: "ordinary" });
    expect(g.fault(1, 0x1000)).toEqual({ kind: "ordinary" });
    expect([g.guest.sleepers, g.word(1, ApfArea.Flags)]).toEqual([[], 1]);
  });

  it("flags that it does not know are warned of, and nobody waits", () => {
    const g = new FakeGuest().online(0);
    expect([g.fault(0, 0x1000, {}, 2), g.guest.sleepers]).toEqual([{ kind: "unexpected", flags: 2 }, []]);
    expect(g.fault(0, 0x1000, {}, 3).kind).toBe("sleep");
  });

  it("~0 wakes who waits on this CPU, wherever in the table, and nobody else", () => {
    const g = new FakeGuest().online(0, 1);
    for (let token = 0x1000; token < 0x5000; token += 0x1000) g.fault(token < 0x3000 ? 0 : 1, token);
    g.ready(0, WAKE_ALL);
    expect(g.taken().sort()).toEqual(["eoi 0", "wake task 1000", "wake task 2000", ACK(0)]);
    expect(g.guest.sleepers.map(({ token }) => token).sort()).toEqual([0x3000, 0x4000]);
    expect(g.word(0, ApfArea.Token)).toBe(0);
  });

  it("an interrupt on a CPU that is not switched on is ended, and nothing else", () => {
    const g = new FakeGuest().online(0);
    g.guest.offline(0);
    g.taken();
    expect([g.ready(0, 0x1000), g.taken(), g.word(0, ApfArea.Token)]).toEqual(["done", ["eoi 0"], 0x1000]);
  });

  it("a CPU that goes writes EN=0 and wakes who waits there; at shutdown it leaves them", () => {
    const g = new FakeGuest().online(0, 1);
    g.fault(0, 0x1000);
    g.guest.offline(0);
    expect([g.taken(), g.word(0, ApfArea.Enabled)]).toEqual([["wrmsr 0 4b564d02 0:0", "wake task 1000"], 0]);
    g.fault(1, 0x2000);
    g.guest.offline(1, true);
    expect(g.taken()).toEqual(["wrmsr 1 4b564d02 0:0"]);
    g.guest.offline(1);
    expect(g.taken()).toEqual(["wake task 2000"]);
  });

  it("without memory to note a token the CPU goes round, and acknowledges only when that has ended", () => {
    const g = new FakeGuest().online(0);
    g.memory = 0;
    expect([g.ready(0, 0x1000), g.guest.spin(0), g.taken()]).toEqual(["spin", "spin", ["eoi 0"]]);
    expect(g.word(0, ApfArea.Token)).toBe(0x1000);
    g.memory = 1;
    expect([g.guest.spin(0), g.taken(), g.guest.sleepers.length]).toEqual(["done", [ACK(0)], 1]);
    expect(() => g.guest.spin(0)).toThrow(expect.objectContaining({ code: "order" }));
  });

  it("without memory it ends as well when the task begins to wait, on another CPU", () => {
    const g = new FakeGuest().online(0, 1);
    g.memory = 0;
    g.ready(0, 0x1000);
    expect(g.fault(1, 0x1000).kind).toBe("sleep");
    expect([g.guest.spin(0), g.taken()]).toEqual(["done", ["eoi 0", "wake task 1000", ACK(0)]]);
  });

  it("a second task that waits for the same token frees what is on the first one's stack", () => {
    const g = new FakeGuest().online(0);
    g.fault(0, 0x1000);
    expect(() => g.fault(0, 0x1000)).toThrow(expect.objectContaining({ name: "GuestPanic", code: "stack-freed" }));
  });

  it("an area that is not memory is the host's error", () => {
    const g = new FakeGuest();
    expect(() => g.guest.online(0x4000)).toThrow(expect.objectContaining({ name: "AsyncPfError", code: "area" }));
    expect(() => g.guest.interrupt(0x4000)).toThrow(expect.objectContaining({ code: "area" }));
  });

  it("tokens are spread over 256 buckets by hash_32", () => {
    // floor(token * 0x61c88647 / 2^24) mod 256, by big integers.
    const reference = (token: number) => Number(((BigInt(token) * 0x61c8_8647n) & 0xffff_ffffn) >> 24n);
    fc.assert(fc.property(fc.nat(0xffff_ffff), (token) => bucketOf(token) === reference(token)));
    expect([bucketOf(1), bucketOf(0x1000), bucketOf(WAKE_ALL)]).toEqual([0x61, 0x88, 0x9e]);
  });
});

describe("a snapshot of the guest's side", () => {
  it("keeps who waits, in its order, and who goes round", () => {
    const g = new FakeGuest().online(0, 1);
    for (let id = 1; id < 600; id++) g.fault(id % 2, (id << 12) >>> 0);
    g.ready(1, 0x1234_5000);
    g.memory = 0;
    g.ready(0, 0x7777_7000);
    const other = new FakeGuest();
    for (const [gpa, value] of g.words.values) other.words.values.set(gpa, value);
    const saved = g.guest.save();
    other.guest.restore(JSON.parse(JSON.stringify(saved)), isName);
    expect([other.guest.save(), other.guest.sleepers]).toEqual([saved, g.guest.sleepers]);
    expect([other.guest.spin(0), other.ready(1, 0x1000), other.taken()]).toEqual([
      "done",
      "done",
      [ACK(0), "eoi 1", "wake task 1000", ACK(1)],
    ]);
  });

  it("out of range is refused by a typed error, and changes nothing", () => {
    const node = { token: 1, cpu: 0, task: "a", halts: false };
    const wrong = fc.oneof(
      fc.anything(),
      fc.constantFrom<unknown>(
        { nodes: [{ ...node, token: -1 }], spinning: [] },
        { nodes: [{ ...node, cpu: 0x1000 }], spinning: [] },
        { nodes: [{ ...node, task: 1 }], spinning: [] },
        { nodes: [{ ...node, halts: 0 }], spinning: [] },
        { nodes: [node, node], spinning: [] },
        { nodes: [null], spinning: [] },
        { nodes: [], spinning: [[0]] },
        {
          nodes: [],
          spinning: [
            [0, 1],
            [0, 2],
          ],
        },
      ),
    );
    fc.assert(
      fc.property(wrong, (state) => {
        const g = new FakeGuest().online(0);
        g.fault(0, 0x1000);
        const before = g.guest.save();
        expect(() => g.guest.restore(state, isName)).toThrow(AsyncPfError);
        expect(g.guest.save()).toEqual(before);
      }),
    );
  });
});
