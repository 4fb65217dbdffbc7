import { eax, ecx, mem, rdi } from "@vm/asm";
import { Errno, type KvmiClient, KvmiError } from "@vm/kvmi";
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/plugins/kvmi/limits.js";
import { RESULT } from "./introspected.js";
import { introspected } from "./introspected-here.js";

/** Entries that fit one SET_PAGE_ACCESS. */
const ENTRIES = 510;
/** Beyond all memory. */
const FAR = 0x100000;

const refused = (command: string): KvmiError => new KvmiError(command, Errno.ENOMEM);
const access = (first: number, count: number, bits: number): ReadonlyMap<number, number> =>
  new Map(Array.from({ length: count }, (_, k) => [(first + k) * 4096, bits]));

/** Restricts `count` pages from `first` on. */
async function restrict(client: KvmiClient, first: number, count: number, view = 0): Promise<void> {
  const asked: Promise<void>[] = [];
  for (let k = 0; k < count; k += ENTRIES)
    asked.push(client.setPageAccess(access(first + k, Math.min(ENTRIES, count - k), 1), view));
  await Promise.all(asked);
}

describe("a tool that asks for ever more gets ENOMEM, and room again for what it gives back", () => {
  it("restricted pages, over all views", async () => {
    const { client, machine } = await introspected(() => undefined);
    const { view } = await client.ask("createEptView", {});
    await restrict(client, FAR, LIMITS.restrictedPages - 1000);
    await restrict(client, FAR, 1000, view);
    await expect(client.setPageAccess(access(1, 1, 1))).rejects.toEqual(refused("setPageAccess"));
    await client.setPageAccess(access(FAR, 1, 7));
    await client.setPageAccess(access(1, 1, 1));
    await expect(client.setPageAccess(access(2, 1, 1))).rejects.toEqual(refused("setPageAccess"));
    // A page that is restricted already is none more.
    await client.setPageAccess(access(1, 1, 3));
    await client.command("destroyEptView", { view });
    await restrict(client, FAR + LIMITS.restrictedPages, 1000);
    machine.stop();
  });

  it("code breakpoints, over all vCPUs", async () => {
    const { client, machine } = await introspected(() => undefined);
    const set = (k: number, on: boolean): Promise<void> => client.controlCodeBreakpoint(0, BigInt(FAR + k) * 4096n, on);
    await Promise.all(Array.from({ length: LIMITS.codeBreakpoints }, (_, k) => set(k + 1, true)));
    await expect(set(0x500000, true)).rejects.toEqual(refused("controlCodeBreakpoint"));
    await set(1, false);
    await set(0x500000, true);
    machine.stop();
  });

  it("views", async () => {
    const { client, machine } = await introspected(() => undefined);
    const made = await Promise.all(Array.from({ length: LIMITS.views }, () => client.ask("createEptView", {})));
    expect(made.map(({ view }) => view)).toEqual(Array.from({ length: LIMITS.views }, (_, k) => k + 1));
    await expect(client.ask("createEptView", {})).rejects.toEqual(refused("createEptView"));
    await client.command("destroyEptView", { view: 7 });
    expect(await client.ask("createEptView", {})).toEqual({ view: 7 });
    machine.stop();
  });

  it("changed frames, over all views", async () => {
    const { client, machine } = await introspected(() => undefined);
    const change = (gfn: number, target = 1, view = 0): Promise<unknown> =>
      client.command("changeGfn", { view, old_gfn: BigInt(gfn), new_gfn: BigInt(target) });
    await Promise.all(Array.from({ length: LIMITS.changedFrames }, (_, k) => change(FAR + k)));
    await expect(change(2)).rejects.toEqual(refused("changeGfn"));
    // One that is changed already is none more, and one that is restored leaves room.
    await change(FAR, 2);
    await expect(change(0x10)).rejects.toEqual(refused("changeGfn"));
    await change(FAR + 1, FAR + 1);
    await change(0x10);
    machine.stop();
  });

  it("allocated frames", async () => {
    const { client, machine } = await introspected(() => undefined);
    let made = 0;
    const take = (k: number): Promise<unknown> => client.command("allocGfn", { gfn: BigInt(FAR + 3 * k) });
    let refusal: unknown = null;
    while (refusal === null && made <= LIMITS.allocatedFrames)
      await take(made).then(
        () => made++,
        (error) => {
          refusal = error;
        },
      );
    expect(refusal).toEqual(refused("allocGfn"));
    await client.command("freeGfn", { gfn: BigInt(FAR) });
    await take(made);
    machine.stop();
  });
});

it("a guest runs on in each of as many views as there can be", async () => {
  const { client, machine, go } = await introspected((a) => {
    const again = a.label("again");
    a.mov(rdi, RESULT)
      .bind(again)
      .inc(mem(rdi, { size: 8 }))
      .jmp(again);
  });
  await go();
  const count = (): number => machine.memory.readU32(RESULT);
  for (let k = 0; k < LIMITS.views; k++) {
    await client.command("setEptView", await client.ask("createEptView", {}));
    for (const before = count(); count() === before; ) await new Promise(setImmediate);
  }
  expect(machine.ended).toBeNull();
  machine.stop();
});

it("a tool that never answers an event does not keep the machine from being stopped", async () => {
  const { client, machine, ended, go, event } = await introspected((a) => {
    a.xor(eax, eax).xor(ecx, ecx).cpuid();
  });
  await client.controlEvent(0, "cpuid", true);
  await go();
  await event("cpuid");
  machine.stop();
  expect(await ended).toEqual({ reason: "stopped" });
});

it("whatever a tool has asked for is undone when it goes, and the next one has as much", async () => {
  const { client, machine } = await introspected(() => undefined);
  await restrict(client, FAR, 5000);
  await restrict(client, 0x300, 5);
  expect(machine.memory.withheld(FAR)).not.toBe(0);
  client.close();
  await client.closed;
  for (let k = 0; k < 100 && machine.memory.withheld(FAR) !== 0; k++) await new Promise(setImmediate);
  expect([FAR, FAR + 4999, 0x300, 0x304].map((gfn) => machine.memory.withheld(gfn))).toEqual([0, 0, 0, 0]);
  machine.stop();
});
