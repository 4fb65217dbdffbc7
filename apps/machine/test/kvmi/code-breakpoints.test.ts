import { Assembler, cr3, eax, ebx, mem, rax, rbx, rcx, rdi, rdx, short } from "@vm/asm";
import { Errno } from "@vm/kvmi";
import { describe, expect, it } from "vitest";
import { type Introspected, PAGE, store } from "./introspected.js";
import { introspected } from "./introspected-here.js";

/** A guest that calls `write`'s code at {@link PAGE} `times` over; leaves RAX, and the first bytes of that code as the guest reads them. */
async function calling(times: number, write: (a: Assembler) => void): Promise<Introspected & { code: Uint8Array }> {
  const guest = await introspected((a) => {
    const again = a.label("again");
    a.xor(eax, eax).mov(ebx, times).mov(rdi, PAGE).bind(again).call(rdi).dec(rbx).jnz(short(again));
    store(a, rax);
    a.mov(rdi, PAGE).mov(rcx, mem(rdi));
    store(a, rcx, 1);
  });
  const a = new Assembler({ org: PAGE });
  write(a);
  a.ret();
  const code = new Uint8Array(16);
  code.set(a.assemble());
  await guest.client.writePhysical(PAGE, code);
  await guest.client.controlEvent(0, "breakpoint", true);
  return { ...guest, code };
}

/** INC RAX has three bytes. */
const INC = 3;

describe("code breakpoints", () => {
  it("report each execution, before it; the guest reads its code as it is, and no page is withheld", async () => {
    const { client, machine, go, event, ended, result, code } = await calling(3, (a) => a.inc(rax).inc(rax).inc(rax));
    await client.controlCodeBreakpoint(0, BigInt(PAGE + INC), true);
    await go();
    for (const before of [1n, 4n, 7n]) {
      const { data, state, reply } = await event("breakpoint");
      expect([data, state.regs.rip, state.regs.rax]).toEqual([
        { gpa: BigInt(PAGE + INC), insn_len: 0 },
        BigInt(PAGE + INC),
        before,
      ]);
      expect([machine.memory.withheld(PAGE / 4096), await client.readPhysical(PAGE, 16)]).toEqual([0, code]);
      reply();
    }
    await ended;
    expect([result(), result(1)]).toEqual([9n, new DataView(code.buffer).getBigUint64(0, true)]);
  });

  it("RETRY asks again; registers that are set can go over the instruction", async () => {
    const { client, go, event, ended, result } = await calling(1, (a) => a.inc(rax).inc(rax));
    await client.controlCodeBreakpoint(0, BigInt(PAGE + INC), true);
    await go();
    (await event("breakpoint")).reply({ action: "retry" });
    const { state, reply } = await event("breakpoint");
    await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + BigInt(INC) });
    reply();
    await ended;
    expect(result()).toBe(1n);
  });

  it("are reported once for an instruction that is reported for something else too", async () => {
    const { client, go, event, ended } = await calling(2, (a) => a.mov(rdx, cr3).xor(rdx, 8).mov(cr3, rdx));
    await client.controlEvent(0, "cr", true);
    await client.controlEvent(0, "pf", true);
    await client.controlCr(0, 3, true);
    for (let at = 0; at < 10; at++) await client.controlCodeBreakpoint(0, BigInt(PAGE + at), true);
    await client.setPageAccess(new Map([[PAGE, 3]]));
    await go();
    for (let k = 0; k < 2; k++) {
      for (const name of ["breakpoint", "pf", "breakpoint", "pf", "breakpoint", "pf", "cr", "pf"] as const)
        (await event(name)).reply();
    }
    await ended;
  });

  it("can be taken away, and go with the tool", async () => {
    const { client, machine, go, event, ended, result } = await calling(3, (a) => a.inc(rax).inc(rax));
    const cpu = machine.vcpus[0]?.cpu;
    await client.controlCodeBreakpoint(0, BigInt(PAGE), true);
    await client.controlCodeBreakpoint(0, BigInt(PAGE + INC), true);
    await go();
    await event("breakpoint").then(({ reply }) => reply());
    const { reply } = await event("breakpoint");
    await client.controlCodeBreakpoint(0, BigInt(PAGE), false);
    reply();
    const last = await event("breakpoint");
    expect(last.data.gpa).toBe(BigInt(PAGE + INC));
    client.close();
    await ended;
    expect([cpu?.guards(PAGE, 0), cpu?.hooks.execute, result()]).toEqual([false, undefined, 6n]);
  });

  it("need their event: without it the guest runs on", async () => {
    const { client, go, ended, result } = await calling(2, (a) => a.inc(rax));
    await client.controlEvent(0, "breakpoint", false);
    await client.controlCodeBreakpoint(0, BigInt(PAGE), true);
    await go();
    await ended;
    expect(result()).toBe(2n);
  });
});

describe("filters that the tool sets", () => {
  it("are judged in the machine: by where, and by which value", async () => {
    const { client, go, event, ended } = await calling(2, (a) => a.inc(rax).mov(rdx, cr3).xor(rdx, 8).mov(cr3, rdx));
    await client.controlEvent(0, "cr", true);
    await client.controlCr(0, 3, true);
    for (const at of [0, INC]) await client.controlCodeBreakpoint(0, BigInt(PAGE + at), true);
    const rip = { from: BigInt(PAGE), to: BigInt(PAGE) };
    await client.setEventFilter({ events: ["breakpoint"], rip });
    await go();
    const first = await event("breakpoint");
    expect(first.data.gpa).toBe(BigInt(PAGE));
    first.reply();
    (await event("cr")).reply();
    const second = await event("breakpoint");
    await client.setEventFilter({ value: { mask: 8n, equals: 8n }, rip: { from: 0n, to: 2n ** 64n - 1n } });
    second.reply();
    // A breakpoint has no value to judge. CR3 loses bit 3 this time: nobody is asked.
    (await event("breakpoint")).reply();
    await ended;
  });

  it("cannot have flags that mean nothing", async () => {
    const { client } = await introspected(() => undefined);
    const filter = { flags: 16, events: 0, cr3: 0n, rip_from: 0n, rip_to: 0n, value_mask: 0n, value_equals: 0n };
    await expect(client.command("setEventFilter", filter)).rejects.toMatchObject({ errno: Errno.EINVAL });
    await client.setEventFilter(null);
    await client.command("checkCommand", { id: 0x8000 });
    await client.command("checkCommand", { id: 0x8001 });
    await expect(client.command("checkCommand", { id: 0x8002 })).rejects.toMatchObject({ errno: Errno.EINVAL });
  });
});
