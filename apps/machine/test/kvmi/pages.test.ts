import { al, cl, eax, ecx, mem, r8, rax, rbx, rcx, rdi, rsi, rsp } from "@vm/asm";
import { describe, expect, it } from "vitest";
import { handlers, PAGE, RESULT, store } from "./introspected.js";
import { introspected } from "./introspected-here.js";

const NEXT = PAGE + 4096;
const R = 1;
const W = 2;
const X = 4;

describe("page access", () => {
  it("CONTINUE lets the one instruction do it, and the next is asked about again", async () => {
    const { client, machine, go, event, ended } = await introspected((a) => {
      a.mov(rdi, PAGE)
        .mov(eax, 0x5a)
        .mov(mem(rdi), al)
        .mov(mem(rdi, { disp: 1 }), al)
        .mov(al, mem(rdi));
    });
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[PAGE, R]]));
    await go();
    const first = await event("pf");
    first.reply();
    const second = await event("pf");
    expect(second.data.gpa).toBe(BigInt(PAGE + 1));
    expect(machine.memory.readU8(PAGE)).toBe(0x5a);
    second.reply();
    await ended;
    expect(machine.memory.readU16(PAGE)).toBe(0x5a5a);
  });

  it("reads, writes and fetches are told apart", async () => {
    const { client, go, event, ended, result } = await introspected((a) => {
      a.mov(rdi, PAGE)
        .mov(rax, mem(rdi))
        .mov(mem(rdi, { disp: 8 }), rax)
        .call(rdi);
      store(a, rax);
    });
    // At PAGE: mov eax, 5; ret
    await client.writePhysical(PAGE, Uint8Array.of(0xb8, 5, 0, 0, 0, 0xc3));
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[PAGE, 0]]));
    await go();
    const seen: [bigint, number][] = [];
    for (let k = 0; k < 4; k++) {
      const { data, state, reply } = await event("pf");
      seen.push([data.gva, data.access]);
      if (data.access === X) expect(data.gva).toBe(state.regs.rip);
      reply();
    }
    expect(seen).toEqual([
      [BigInt(PAGE), R],
      [BigInt(PAGE + 8), W],
      [BigInt(PAGE), X],
      [BigInt(PAGE + 5), X],
    ]);
    await ended;
    expect(result()).toBe(5n);
  });

  it("an access over two pages is asked about for each, and then done whole", async () => {
    const { client, machine, go, event, ended } = await introspected((a) => {
      a.mov(rdi, NEXT - 3)
        .mov(rax, 0x1122334455667788n)
        .mov(mem(rdi), rax);
    });
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(
      new Map([
        [PAGE, R],
        [NEXT, R],
      ]),
    );
    await go();
    const pages = [];
    for (let k = 0; k < 2; k++) {
      const { data, reply } = await event("pf");
      expect(machine.memory.readU32(NEXT - 3)).toBe(0);
      pages.push(data.gpa);
      reply();
    }
    expect(pages).toEqual([BigInt(NEXT - 3), BigInt(NEXT)]);
    await ended;
    expect(machine.memory.readU32(NEXT - 3)).toBe(0x55667788);
    expect(machine.memory.readU32(NEXT + 1)).toBe(0x11223344);
  });

  it("what is read can be something else than what is there", async () => {
    const { client, machine, go, event, ended, result } = await introspected((a) => {
      a.mov(rdi, PAGE + 8)
        .mov(rax, mem(rdi))
        .mov(rbx, mem(rdi));
      store(a, rax, 0);
      store(a, rbx, 1);
    });
    await client.writePhysical(PAGE + 8, Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1));
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[PAGE, W]]));
    await go();
    (await event("pf")).reply({ context: { address: BigInt(PAGE + 10), data: Uint8Array.of(9, 9) } });
    (await event("pf")).reply();
    await ended;
    expect([result(0), result(1)]).toEqual([0x0101010109090101n, 0x0101010101010101n]);
    expect(machine.memory.readU32(PAGE + 8)).toBe(0x01010101);
  });

  it("what a reading and writing instruction writes stays, though it read something else", async () => {
    const { client, machine, go, event, ended } = await introspected((a) => {
      a.mov(rdi, PAGE).add(mem(rdi, { size: 4 }), 1);
    });
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[PAGE, 0]]));
    await go();
    (await event("pf")).reply({ context: { address: BigInt(PAGE), data: Uint8Array.of(41, 0, 0, 0) } });
    await ended;
    expect(machine.memory.readU32(PAGE)).toBe(42);
  });

  it("a repeated string instruction is asked about for every element, or once if the tool says so", async () => {
    for (const repComplete of [false, true]) {
      const { client, machine, go, event, ended } = await introspected((a) => {
        a.mov(rdi, PAGE).mov(rsi, RESULT).mov(ecx, 8).rep().movsb().mov(rdi, PAGE).mov(mem(rdi), cl);
      });
      await client.writePhysical(RESULT, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
      await client.controlEvent(0, "pf", true);
      await client.setPageAccess(new Map([[PAGE, R]]));
      await go();
      for (let k = 0; k < (repComplete ? 1 : 8); k++) {
        const { data, reply } = await event("pf");
        expect(data.gpa).toBe(BigInt(PAGE + k));
        reply({ repComplete });
      }
      const last = await event("pf");
      expect(last.state.regs.rcx).toBe(0n);
      last.reply();
      await ended;
      expect(machine.memory.readU32(PAGE + 4)).toBe(0x08070605);
    }
  });

  it("the delivery of an exception over a restricted stack is asked about, and done", async () => {
    const { client, go, event, ended, result } = await introspected((a) => {
      const [ud, start] = [a.label("ud"), a.label("start")];
      a.jmp(start);
      a.bind(ud)
        .inc(rbx)
        .add(mem(rsp, { size: 8 }), 2)
        .iretq();
      a.bind(start);
      handlers(a, { 6: ud });
      a.mov(r8, rsp).mov(rsp, NEXT).xor(ecx, ecx).mov(rbx, rcx).ud2().mov(rsp, r8);
      store(a, rbx);
    });
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[PAGE, R]]));
    await go();
    const first = await event("pf");
    expect([first.data.access, first.data.gva]).toEqual([W, BigInt(NEXT - 8)]);
    first.reply();
    // The handler's own ADD.
    (await event("pf")).reply();
    await ended;
    expect(result()).toBe(1n);
  });

  it("restrictions without the event change nothing for the guest", async () => {
    const { client, machine, go, ended } = await introspected((a) => {
      a.mov(rdi, PAGE)
        .mov(eax, 7)
        .mov(mem(rdi), al)
        .mov(al, mem(rdi))
        .mov(mem(rdi, { disp: 1 }), al)
        .mov(ecx, 3)
        .rep()
        .stosb();
    });
    await client.setPageAccess(new Map([[PAGE, 0]]));
    await go();
    await ended;
    expect(machine.memory.readU16(PAGE)).toBe(0x0707);
  });

  it("page tables that may not be written are walked, and their accessed bits set, without an event", async () => {
    const { client, go, ended, machine, event } = await introspected((a) => {
      a.mov(rdi, PAGE).mov(mem(rdi), rdi).int3();
    });
    const { sregs } = await client.registers(0);
    const root = Number(sregs.cr3);
    await client.controlEvent(0, "pf", true);
    await client.controlEvent(0, "breakpoint", true);
    await client.setPageAccess(new Map([[root, R]]));
    machine.memory.writeU32(root, machine.memory.readU32(root) & ~0x20);
    for (const { cpu } of machine.vcpus) cpu.tlb.flush();
    await go();
    const { state, reply } = await event("breakpoint");
    expect(machine.memory.readU32(root) & 0x20).toBe(0x20);
    await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + 1n });
    reply({ action: "retry" });
    await ended;
  });

  it("no access of another vCPU slips through while one is let through", async () => {
    const COUNTER = 0x5000;
    const { client, machine, go, event } = await introspected(
      (a) => {
        const again = a.label("again");
        // INIT and SIPI to the second processor, which starts at 0x8000.
        a.mov(rdi, 0xfee00310).mov(mem(rdi, { size: 4 }), 0x01000000);
        a.mov(rdi, 0xfee00300)
          .mov(mem(rdi, { size: 4 }), 0x4500)
          .mov(mem(rdi, { size: 4 }), 0x4608);
        a.int3()
          .mov(rdi, COUNTER + 8)
          .mov(eax, 0);
        a.bind(again).inc(eax).mov(mem(rdi), eax).jmp(again);
      },
      { cpus: 2 },
    );
    // jmp $; xor ax, ax; again: inc ax; mov [0x5000], ax; jmp again
    await client.writePhysical(0x8000, Uint8Array.of(0xeb, 0xfe, 0x31, 0xc0, 0x40, 0xa3, 0x00, 0x50, 0xeb, 0xfa));
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const started = await event("breakpoint");
    await client.pause(1);
    const paused = await event("pause");
    for (const vcpu of [0, 1]) await client.controlEvent(vcpu, "pf", true);
    await client.setPageAccess(new Map([[COUNTER, R]]));
    await client.setRegisters(1, { ...paused.state.regs, rip: 2n });
    await client.setRegisters(0, { ...started.state.regs, rip: started.state.regs.rip + 1n });
    paused.reply();
    started.reply({ action: "retry" });
    const counts = [0n, 0n];
    while (counts.some((count) => count < 20n)) {
      const { vcpu, state, reply } = await event("pf");
      counts[vcpu] = (counts[vcpu] ?? 0n) + 1n;
      expect(state.regs.rax & 0xffffn).toBe(counts[vcpu]);
      reply();
    }
    machine.stop();
  });
});

describe("views and frames", () => {
  it("30 to 33 a vCPU that uses a view sees its restrictions, and view 0 has none of them", async () => {
    const { client, go, event, ended, machine } = await introspected((a) => {
      a.mov(rdi, PAGE)
        .mov(mem(rdi), rdi)
        .int3()
        .mov(mem(rdi, { disp: 8 }), rdi);
    });
    const { view } = await client.ask("createEptView", {});
    expect(view).toBe(1);
    await client.setPageAccess(new Map([[PAGE, R]]), view);
    await client.controlEvent(0, "pf", true);
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const { state, reply } = await event("breakpoint");
    await client.command("setEptView", { view });
    expect(await client.ask("getEptView", {})).toEqual({ view });
    await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + 1n });
    reply({ action: "retry" });
    const pf = await event("pf");
    expect([pf.data.view, pf.data.gpa, pf.state.view]).toEqual([view, BigInt(PAGE + 8), view]);
    await client.command("destroyEptView", { view });
    expect(await client.ask("getEptView", {})).toEqual({ view: 0 });
    pf.reply({ action: "retry" });
    await ended;
    expect(machine.memory.readU32(PAGE + 8)).toBe(PAGE);
  });

  it("37, 38 what is written through a changed frame lands in the other one, code included; restored it does not", async () => {
    const { client, go, event, ended, machine, result } = await introspected((a) => {
      a.mov(rdi, PAGE).call(rdi);
      store(a, rax, 0);
      a.mov(mem(rdi, { disp: 64 }), rdi)
        .int3()
        .call(rdi);
      store(a, rax, 1);
    });
    const code = (value: number): Uint8Array => Uint8Array.of(0xb8, value, 0, 0, 0, 0xc3);
    await client.writePhysical(PAGE, code(1));
    await client.writePhysical(NEXT, code(2));
    const gfns = { old_gfn: BigInt(PAGE / 4096), new_gfn: BigInt(NEXT / 4096) };
    await client.command("changeGfn", { view: 0, ...gfns });
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const { state, reply } = await event("breakpoint");
    expect([machine.memory.readU32(PAGE + 64), machine.memory.readU32(NEXT + 64)]).toEqual([0, PAGE]);
    await client.command("changeGfn", { view: 0, old_gfn: gfns.old_gfn, new_gfn: gfns.old_gfn });
    await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + 1n });
    reply({ action: "retry" });
    await ended;
    expect([result(0), result(1)]).toEqual([2n, 1n]);
  });

  it("a frame put where no memory is can be used, and is gone with the tool", async () => {
    const at = 16 << 20;
    const { client, go, event, machine } = await introspected((a) => {
      a.mov(rdi, at).mov(mem(rdi), rdi).int3();
    });
    const { gfn } = await client.ask("getNextAvailableGfn", {});
    expect(gfn).toBe(BigInt(at / 4096));
    await client.command("allocGfn", { gfn });
    await client.controlEvent(0, "breakpoint", true);
    await go();
    await event("breakpoint");
    expect((await client.readPhysical(at, 4))[3]).toBe(1);
    client.close();
    await client.closed;
    machine.stop();
    await new Promise((resolve) => setImmediate(resolve));
    expect(machine.memory.backed(at, 1)).toBe(false);
  });
});
