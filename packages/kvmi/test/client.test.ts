import { describe, expect, it } from "vitest";
import { DIALECTS, DisconnectedError, Errno, KvmiClient, KvmiError, KvmiServer, transportPair } from "../src/index.js";
import { FakeVm } from "./fakes.js";
import { IDENTITY, settled } from "./raw-tool.js";

async function connected(dialect = DIALECTS.libkvmi as (typeof DIALECTS)[keyof typeof DIALECTS], vm = new FakeVm()) {
  const server = new KvmiServer({ vm, identity: IDENTITY, dialect });
  const [near, far] = transportPair();
  void server.hook(far);
  const client = await KvmiClient.accept(near, { dialect });
  return { vm, server, client };
}

describe.each(Object.values(DIALECTS))("the client ($name)", (dialect) => {
  it("learns who the machine is", async () => {
    const { client } = await connected(dialect);
    expect(client.identity).toEqual(IDENTITY);
  });

  it("sets breakpoints on code, and filters, that go with it", async () => {
    const { client, vm } = await connected(dialect);
    await client.controlCodeBreakpoint(0, 0x1234n, true);
    await client.controlCodeBreakpoint(0, 0x5678n, true);
    await client.controlCodeBreakpoint(0, 0x1234n, false);
    expect([...vm.cpu.watched]).toEqual([0x5678n]);
    await client.controlEvent(0, "breakpoint", true);
    await client.setEventFilter({ events: ["breakpoint"], rip: { from: 1n, to: 2n } });
    expect(vm.cpu.events?.breakpoint(0, 0, () => undefined)).toBe(false);
    await client.setEventFilter(null);
    expect(vm.cpu.events?.breakpoint(0, 0, () => undefined)).toBe(true);
    client.close();
    await settled();
    expect(vm.cpu.watched.size).toBe(0);
  });

  it("asks, and has refusals as errors", async () => {
    const { client, vm } = await connected(dialect);
    expect(await client.vcpuCount()).toBe(1);
    await client.writePhysical(0x1000, Uint8Array.of(1, 2, 3));
    expect(await client.readPhysical(0x1000, 4)).toEqual(Uint8Array.of(1, 2, 3, 0));
    await expect(client.readPhysical(0x4000, 4)).rejects.toThrow(new KvmiError("readPhysical", Errno.ENOENT));
    expect(await client.translate(0, 0x10n)).toBe(0x1010n);
    expect(await client.translate(0, 0x10000n)).toBeNull();
    await client.setPageAccess(new Map([[0x2000, 1]]));
    expect(vm.access.get("0:2")).toBe(1);
  });

  it("has registers by name", async () => {
    const { client } = await connected(dialect);
    const { mode, regs, sregs, msrs } = await client.registers(0, [0x174]);
    expect([mode, regs.rip, sregs.cr3, msrs.get(0x174)]).toEqual([8, 0n, 0n, 0x10n]);
  });

  it("has events as they come and answers them", async () => {
    const { client, vm } = await connected(dialect);
    await client.controlEvent(0, "breakpoint", true);
    await client.pause(0);
    const seen: string[] = [];
    for await (const event of client.events) {
      seen.push(event.name);
      if (event.name === "pause") {
        event.reply();
        await settled();
        vm.cpu.events?.breakpoint(0x1000, 1, (verdict) => {
          seen.push(verdict);
          client.close();
        });
      } else if (event.name === "breakpoint") {
        expect(event.data.gpa).toBe(0x1000n);
        await client.setRegisters(event.vcpu, { ...event.state.regs, rip: 0x77n });
        event.reply({ action: "retry" });
        event.reply({ action: "crash" });
        await settled();
      }
    }
    expect(seen).toEqual(["pause", "breakpoint", "retry"]);
    expect(vm.crashed).toBe(false);
  });

  it("keeps the guest's value of a control register unless told otherwise", async () => {
    const { client, vm } = await connected(dialect);
    await client.controlEvent(0, "cr", true);
    await client.controlCr(0, 3, true);
    const written: (bigint | null)[] = [];
    vm.cpu.events?.cr(3, 1n, 2n, (value) => void written.push(value));
    for await (const event of client.events) {
      event.reply(written.length === 0 ? {} : { newValue: 9n });
      await settled();
      if (written.length === 2) break;
      vm.cpu.events?.cr(3, 1n, 2n, (value) => void written.push(value));
    }
    expect(written).toEqual([2n, 9n]);
  });

  it("fails what is open when the machine goes", async () => {
    const { client, server, vm } = await connected(dialect);
    vm.cpu.busy = true;
    const open = client.registers(0);
    await settled();
    server.disconnect();
    await expect(open).rejects.toThrow(DisconnectedError);
    await client.closed;
    await expect(client.vcpuCount()).rejects.toThrow(DisconnectedError);
    expect((await client.events.next()).done).toBe(true);
  });
});

it("PF answers carry data", async () => {
  const { client, vm } = await connected();
  await client.controlEvent(0, "pf", true);
  let address = 0n;
  vm.cpu.events?.pageFault(0x10n, 0x10, 1, ({ context }) => {
    address = context?.address ?? 0n;
  });
  const { value } = await client.events.next();
  value?.reply({ context: { address: 0x10n, data: Uint8Array.of(1) }, repComplete: true });
  await settled();
  expect(address).toBe(0x10n);
});
