import { describe, expect, it } from "vitest";
import {
  DisconnectedError,
  GuestReader,
  KvmiClient,
  type KvmiEvent,
  KvmiServer,
  matching,
  NotStartedError,
  nearest,
  once,
  transportPair,
  whilePaused,
} from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { IDENTITY, settled } from "./raw-tool.js";

async function connected(vm = new FakeVm()) {
  const server = new KvmiServer({ vm, identity: IDENTITY });
  const [near, far] = transportPair();
  void server.hook(far);
  return { vm, server, client: await KvmiClient.accept(near) };
}
const next = async (client: KvmiClient): Promise<KvmiEvent> => (await client.events.next()).value as KvmiEvent;

describe("whilePaused", () => {
  it("has every vCPU stand still, and lets it go whatever the work does", async () => {
    const { vm, client } = await connected(new FakeVm(3));
    expect(await whilePaused(client, () => vm.vcpus.map(({ held }) => held))).toEqual([true, true, true]);
    await settled();
    expect(vm.vcpus.map(({ held }) => held)).toEqual([false, false, false]);
    await expect(whilePaused(client, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    await settled();
    expect(vm.vcpus.map(({ held }) => held)).toEqual([false, false, false]);
  });

  it("leaves other events, also those that come meanwhile, to whoever reads them", async () => {
    const { vm, client } = await connected(new FakeVm(2));
    await client.controlEvent(0, "breakpoint", true);
    const reading = next(client);
    await whilePaused(client, () => undefined);
    vm.cpu.events?.breakpoint(0x1000, 1, () => undefined);
    expect((await reading).name).toBe("breakpoint");
    await client.pause(1);
    expect(await next(client)).toMatchObject({ name: "pause", vcpu: 1 });
  });

  it("works in the middle of an event: that vCPU stands still already, and goes on when it is answered", async () => {
    const { vm, client } = await connected(new FakeVm(2));
    await client.controlEvent(0, "breakpoint", true);
    const verdicts: string[] = [];
    vm.cpu.events?.breakpoint(0x1000, 1, (verdict) => void verdicts.push(verdict));
    const event = await next(client);
    expect(await whilePaused(client, () => whilePaused(client, () => vm.vcpus.map(({ held }) => held)))).toEqual([
      true,
      true,
    ]);
    event.reply();
    await settled();
    expect(verdicts).toEqual(["continue"]);
    expect(vm.vcpus.map(({ held }) => held)).toEqual([false, false]);
  });

  it("keeps a vCPU whose event is answered meanwhile", async () => {
    const { vm, client } = await connected();
    await client.controlEvent(0, "breakpoint", true);
    vm.cpu.events?.breakpoint(0x1000, 1, () => undefined);
    const event = await next(client);
    await whilePaused(client, async () => {
      event.reply();
      await settled();
      expect(vm.cpu.held).toBe(true);
    });
    await settled();
    expect(vm.cpu.held).toBe(false);
  });

  it("fails when the machine goes before they stand still", async () => {
    const { vm, server, client } = await connected();
    vm.cpu.busy = true;
    const waiting = whilePaused(client, () => undefined);
    await settled();
    server.disconnect();
    await expect(waiting).rejects.toThrow(DisconnectedError);
  });
});

it("a breakpoint is one for every vCPU that has been started", async () => {
  const { vm, client } = await connected(new FakeVm(3));
  (vm.vcpus[1] as (typeof vm.vcpus)[0]).initialized = false;
  await client.breakpoint(0x1234n);
  expect(vm.vcpus.map(({ watched, intercepted }) => [...watched, ...intercepted])).toEqual([
    [0x1234n, "breakpoint"],
    [],
    [0x1234n, "breakpoint"],
  ]);
  await client.breakpoint(0x1234n, false);
  expect(vm.vcpus.map(({ watched }) => watched.size)).toEqual([0, 0, 0]);
});

describe("once", () => {
  it("looks until there is something; what is not there yet is no failure, anything else is", async () => {
    const looks = [null, new NotStartedError(), "found"];
    const look = (): Promise<string | null> => {
      const each = looks.shift();
      return each instanceof Error ? Promise.reject(each) : Promise.resolve(each ?? null);
    };
    expect(await once(look, { intervalMs: 0 })).toBe("found");
    await expect(once(() => Promise.reject(new Error("other")))).rejects.toThrow("other");
  });

  it("ends with its signal", async () => {
    const stop = new AbortController();
    const waiting = once(() => Promise.resolve(null), { signal: stop.signal, intervalMs: 1e6 });
    stop.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});

describe("text of a guest", () => {
  it("is read up to its NUL, over pages, and no further", async () => {
    const { vm, client } = await connected();
    // The fake's translation: a page up.
    vm.memory.set(new TextEncoder().encode("over the edge\0rest"), 0x2000 - 4);
    const reader = new GuestReader(client);
    expect(await reader.string(0xffcn)).toBe("over the edge");
    expect(await reader.cString(0xffcn, 7)).toEqual({ bytes: new TextEncoder().encode("over th"), whole: false });
    vm.memory.set(new TextEncoder().encode("end\0"), 0x4000 - 4);
    expect(await reader.string(0x2ffcn)).toBe("end");
    vm.memory.fill(0x41, 0x3000);
    await expect(reader.string(0x2ffcn)).rejects.toMatchObject({ code: "unmapped", address: 0x3000n });
    expect(await reader.string(0x2ffcn, 4)).toBe("AAAA");
  });
});

describe("names", () => {
  const names = ["do_exit", "do_exit_group", "vfs_read", "vfs_write", "vfs_statx", "do_sys_openat2", "a.b"];

  it("by pattern, in which nothing but * and ? is special", () => {
    expect(matching(names, "vfs_*")).toEqual(["vfs_read", "vfs_write", "vfs_statx"]);
    expect(matching(names, "vfs_rea?")).toEqual(["vfs_read"]);
    expect(matching(names, "a.b")).toEqual(["a.b"]);
    expect(matching(names, "a?b(|[")).toEqual([]);
  });

  it("near to one that is not there: mistyped, or a part", () => {
    expect(nearest(names, "do_exti")).toEqual(["do_exit"]);
    expect(nearest(names, "openat2")).toEqual(["do_sys_openat2"]);
    expect(nearest(names, "vfs_raed")).toEqual(["vfs_read"]);
    expect(nearest(names, "nothing_of_the_kind")).toEqual([]);
  });
});
