import {
  type Assembler,
  al,
  cr0,
  cr2,
  cr3,
  cr4,
  eax,
  ebx,
  ecx,
  edx,
  mem,
  rax,
  rbx,
  rcx,
  rdi,
  rdx,
  rsi,
  rsp,
  short,
  xmm3,
} from "@vm/asm";
import { DIALECTS, type DialectName, Errno, KvmiError } from "@vm/kvmi";
import { describe, expect, it } from "vitest";
import { handlers, type IntrospectedOptions, PAGE, RESULT, store } from "./introspected.js";
import { introspected } from "./introspected-here.js";

// The cases of tools/testing/selftests/kvm/x86_64/kvmi_test.c, by number, against this machine: what the protocol says and what becomes of it
// in the guest.

const all = Object.keys(DIALECTS) as DialectName[];
const nothing = (): void => undefined;
const refused = (errno: number) => expect.objectContaining({ errno });
/** A guest that does nothing, and its tool. */
const idle = (options: IntrospectedOptions = {}) => introspected(nothing, options);

describe.each(all)("the self-test (%s)", (dialect) => {
  const run = (write: (a: Assembler) => void) => introspected(write, { dialect });

  it("1 an unknown command", async () => {
    const { client } = await idle({ dialect });
    await expect(client.command("controlSpp", {})).rejects.toEqual(
      refused(dialect === "libkvmi" ? Errno.EOPNOTSUPP : Errno.ENOSYS),
    );
  });

  it("2 to 5 what is there: version, commands, events, vCPUs", async () => {
    const { client } = await introspected(nothing, { dialect, cpus: 2 });
    expect((await client.ask("getVersion", {})).version).toBe(1);
    await client.command("checkCommand", { id: 2 });
    await expect(client.command("checkCommand", { id: 0xffff })).rejects.toBeInstanceOf(KvmiError);
    await client.command("checkEvent", { id: 0 });
    await expect(client.command("checkEvent", { id: 0xffff })).rejects.toBeInstanceOf(KvmiError);
    expect(await client.vcpuCount()).toBe(2);
  });

  it("8 memory: what is written is there for the guest", async () => {
    const { client, go, ended, result } = await run((a) => {
      a.mov(rdi, PAGE).mov(rax, mem(rdi));
      store(a, rax);
    });
    const page = Uint8Array.from({ length: 4096 }, (_, k) => k * 7);
    await client.writePhysical(PAGE, page);
    expect(await client.readPhysical(PAGE, 4096)).toEqual(page);
    await expect(client.readPhysical(PAGE, 0)).rejects.toEqual(refused(Errno.EINVAL));
    await expect(client.writePhysical(PAGE, new Uint8Array(0))).rejects.toEqual(refused(Errno.EINVAL));
    const end = 16 << 20;
    await expect(client.readPhysical(end, 1)).rejects.toEqual(refused(Errno.ENOENT));
    await expect(client.writePhysical(end, new Uint8Array(1))).rejects.toEqual(refused(Errno.ENOENT));
    await go();
    await ended;
    expect(result()).toBe(new DataView(page.buffer).getBigUint64(0, true));
  });

  it("8 memory: code that is overwritten runs as written", async () => {
    const { client, go, ended, result, event } = await run((a) => {
      // Runs once as it is; then the tool makes the immediate a 2.
      const again = a.label("again");
      a.mov(ecx, 2).bind(again).mov(eax, 1).int3().dec(ecx).jnz(short(again));
      store(a, rax);
    });
    await client.controlEvent(0, "breakpoint", true);
    await go();
    for (let k = 0; k < 2; k++) {
      const { data, state, reply } = await event("breakpoint");
      await client.writePhysical(data.gpa - 4n, Uint8Array.of(2));
      await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + 1n });
      reply({ action: "retry" });
    }
    await ended;
    expect(result()).toBe(2n);
  });

  it("9 the TSC's speed, and a vCPU that does not exist", async () => {
    const { client } = await idle({ dialect });
    expect((await client.ask("vcpuGetInfo", {})).tsc_speed).toBe(1_000_000_000n);
    await expect(client.ask("vcpuGetInfo", {}, 99)).rejects.toEqual(refused(Errno.EINVAL));
  });

  it("9 a vCPU that has not been started", async () => {
    const { client } = await introspected(nothing, { dialect, cpus: 2 });
    await expect(client.ask("vcpuGetInfo", {}, 1)).rejects.toEqual(refused(Errno.EAGAIN));
  });

  it("10 pause: one event, and the guest stands still until it is answered", async () => {
    const { client, machine, event, go, ended } = await idle({ dialect });
    await client.pause(0);
    const { reply } = await event("pause");
    await go();
    const before = machine.stats().instructions;
    await client.vcpuCount();
    expect(machine.stats().instructions).toBe(before);
    reply();
    expect(await ended).toEqual({ reason: "power-off", status: null });
  });

  it("10 pause wakes a halted vCPU", async () => {
    const { client, machine, go, event } = await run((a) => a.cli().hlt());
    machine.vcpus[0]?.on("hlt", () => void client.pause(0));
    await go();
    (await event("pause")).reply();
  });

  it("12 registers: general, segments, control registers, MSRs", async () => {
    const { client, event, go } = await run((a) => a.mov(rax, -2).mov(rbx, 0x1234).int3());
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const { state, reply } = await event("breakpoint");
    const { mode, regs, sregs, msrs } = await client.registers(0, [0xc0000080, 0x277]);
    expect([mode, regs.rax, regs.rbx]).toEqual([8, 2n ** 64n - 2n, 0x1234n]);
    expect(sregs.cs).toMatchObject({ present: 1, s: 1, l: 1, db: 0, dpl: 0, unusable: 0 });
    expect([sregs.cr0 & 0x80000001n, sregs.cr4 & 0x20n, sregs.efer & 0x500n]).toEqual([0x80000001n, 0x20n, 0x500n]);
    expect([msrs.get(0xc0000080), msrs.get(0x277)]).toEqual([sregs.efer, 0x0007040600070406n]);
    expect(state).toMatchObject({ mode, regs, sregs, msrs: { efer: sregs.efer, pat: 0x0007040600070406n } });
    await expect(client.registers(0, [0xffffffff])).rejects.toEqual(refused(Errno.EINVAL));
    reply({ action: "crash" });
  });

  it("13 registers are set with the reply to an event, and only then", async () => {
    const { client, event, go, ended, result } = await run((a) => {
      a.mov(eax, 0x77);
      store(a, rax);
    });
    const { regs } = await client.registers(0);
    await expect(client.setRegisters(0, regs)).rejects.toEqual(refused(Errno.EOPNOTSUPP));
    await client.controlSinglestep(0, true).catch(nothing);
    if (dialect === "rfc7") await client.controlEvent(0, "singlestep", true);
    await go();
    for (;;) {
      const { state, reply } = await event("singlestep");
      const set = state.regs.rax === 0x77n;
      if (set) {
        await client.setRegisters(0, { ...state.regs, rax: 99n, rflags: state.regs.rflags | 0x40n });
        await client.controlSinglestep(0, false);
      }
      reply();
      if (set) break;
    }
    await ended;
    expect(result()).toBe(99n);
  });

  it("14 CPUID as the guest sees it", async () => {
    const { client, go, ended, result } = await run((a) => {
      a.xor(eax, eax).xor(ecx, ecx).cpuid();
      store(a, rax, 0);
      store(a, rbx, 1);
    });
    const { eax: most, ebx } = await client.ask("getCpuid", { function: 0, index: 0 });
    await expect(client.ask("getCpuid", { function: most + 1, index: 0 })).rejects.toEqual(refused(Errno.ENOENT));
    await go();
    await ended;
    expect([result(0), result(1)]).toEqual([BigInt(most), BigInt(ebx)]);
  });

  it("15 a hypercall reaches the tool; without one the guest is told so", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      for (const k of [0, 1]) {
        a.mov(rax, 34).mov(rdi, 24).mov(rsi, 0).vmcall();
        store(a, rax, k);
      }
    });
    await client.controlEvent(0, "hypercall", true);
    await go();
    const { reply } = await event("hypercall");
    await client.controlEvent(0, "hypercall", false);
    reply();
    await ended;
    expect([result(0), result(1)]).toEqual([0n, 2n ** 64n - 1000n]);
  });

  it("a hypercall that the event filter leaves out is the machine's to answer", async () => {
    const { client, go, ended, result } = await run((a) => {
      a.mov(rax, 34).mov(rdi, 24).mov(rsi, 0).vmcall();
      store(a, rax);
    });
    await client.controlEvent(0, "hypercall", true);
    await client.setEventFilter({ rip: { from: 0n, to: 0n } });
    await go();
    await ended;
    expect(result()).toBe(2n ** 64n - 1000n);
  });

  it("16 a breakpoint: the tool goes over it, or the guest gets its #BP", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      const caught = a.label("caught");
      const start = a.label("start");
      a.jmp(start);
      a.bind(caught).mov(rbx, 7).iretq();
      a.bind(start);
      handlers(a, { 3: caught });
      a.xor(ecx, ecx).mov(rbx, rcx).int3();
      store(a, rbx, 0);
      a.int3();
      store(a, rbx, 1);
    });
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const first = await event("breakpoint");
    expect([first.data.insn_len, first.data.gpa]).toEqual([1, first.state.regs.rip]);
    expect(await client.readPhysical(first.data.gpa, 1)).toEqual(Uint8Array.of(0xcc));
    await client.setRegisters(0, { ...first.state.regs, rip: first.state.regs.rip + 1n });
    first.reply({ action: "retry" });
    (await event("breakpoint")).reply();
    await ended;
    expect([result(0), result(1)]).toEqual([0n, 7n]);
  });

  it("18 a write to CR4 is seen before it happens, and the tool decides what is written", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(rax, cr4).mov(rcx, rax).or(rcx, 4).mov(cr4, rcx).mov(rdx, cr4).sub(rdx, rax);
      store(a, rdx, 0);
      a.mov(cr4, rcx).mov(rdx, cr4).sub(rdx, rax);
      store(a, rdx, 1);
    });
    await client.controlEvent(0, "cr", true);
    await client.controlCr(0, 4, true);
    await go();
    const { data, state, reply } = await event("cr");
    expect([data.cr, data.new_value, state.sregs.cr4]).toEqual([4, data.old_value | 4n, data.old_value]);
    reply({ newValue: data.old_value });
    (await event("cr")).reply();
    await ended;
    expect([result(0), result(1)]).toEqual([0n, 4n]);
  });

  it("18 CR3: another address space than the guest meant", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(rax, cr3).mov(rcx, rax).add(rcx, 0x1000).mov(cr3, rcx).mov(rdx, cr3).sub(rdx, rax);
      store(a, rdx);
    });
    await client.controlEvent(0, "cr", true);
    await client.controlCr(0, 3, true);
    await go();
    const { data, reply } = await event("cr");
    reply({ newValue: data.old_value });
    await ended;
    expect(result()).toBe(0n);
  });

  it("18 a value that the processor refuses is #GP for the guest, and so is a refusal of the tool", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      const caught = a.label("caught");
      const start = a.label("start");
      a.jmp(start);
      // Goes over the three bytes of MOV CR4, RCX.
      a.bind(caught)
        .inc(rbx)
        .add(mem(rsp, { disp: 8, size: 8 }), 3)
        .add(rsp, 8)
        .iretq();
      a.bind(start);
      handlers(a, { 13: caught });
      a.xor(ebx, ebx).mov(rax, cr4).mov(rcx, rax).or(rcx, 4).mov(cr4, rcx).mov(cr4, rcx);
      store(a, rbx);
    });
    await client.controlEvent(0, "cr", true);
    await client.controlCr(0, 4, true);
    await go();
    (await event("cr")).reply({ newValue: 1n << 40n });
    (await event("cr")).reply({ action: "retry" });
    await ended;
    expect(result()).toBe(2n);
  });

  it("19 an exception is injected, and TRAP tells; one that was there first wins", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      const [ud, bp, start] = [a.label("ud"), a.label("bp"), a.label("start")];
      a.jmp(start);
      a.bind(ud).add(rbx, 1).iretq();
      a.bind(bp).add(rbx, 0x10).iretq();
      a.bind(start);
      handlers(a, { 3: bp, 6: ud });
      a.xor(ebx, ebx).int3();
      store(a, rbx, 0);
      a.int3();
      store(a, rbx, 1);
    });
    if (dialect === "rfc7") await client.controlEvent(0, "trap", true);
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const first = await event("breakpoint");
    await client.injectException(0, 6);
    await expect(client.injectException(0, 6)).rejects.toEqual(refused(Errno.EBUSY));
    await client.setRegisters(0, { ...first.state.regs, rip: first.state.regs.rip + 1n });
    first.reply({ action: "retry" });
    const trap = await event("trap");
    expect(trap.data).toEqual({ nr: 6, error_code: 0, address: 0n });
    trap.reply();
    const second = await event("breakpoint");
    await client.injectException(0, 6);
    second.reply();
    const earlier = await event("trap");
    expect(earlier.data.nr).toBe(3);
    earlier.reply();
    await ended;
    expect([result(0), result(1)]).toEqual([1n, 0x11n]);
  });

  it("19 #PF has its error code and its address", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      const [pf, start] = [a.label("pf"), a.label("start")];
      a.jmp(start);
      a.bind(pf).pop(rax).mov(rbx, cr2).iretq();
      a.bind(start);
      handlers(a, { 14: pf });
      a.int3();
      store(a, rax, 0);
      store(a, rbx, 1);
    });
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const { state, reply } = await event("breakpoint");
    await client.injectException(0, 14, 6, 0xdeadbeef000n);
    await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + 1n });
    reply({ action: "retry" });
    if (dialect !== "rfc7") (await event("trap")).reply();
    await ended;
    expect([result(0), result(1)]).toEqual([6n, 0xdeadbeef000n]);
  });

  it("21 XSETBV is seen before it happens", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(rax, cr4).or(rax, 0x40000).mov(cr4, rax).xor(ecx, ecx).xor(edx, edx).mov(eax, 3).xsetbv().xsetbv();
      a.xgetbv();
      store(a, rax);
    });
    await client.controlEvent(0, "xsetbv", true);
    await go();
    const { data, reply } = await event("xsetbv");
    if (dialect === "v12") expect(data).toEqual({ xcr: 0, old_value: 1n, new_value: 3n });
    if (dialect !== "rfc7") {
      expect(await client.ask("getXcr", { xcr: 0 })).toEqual({ value: 1n });
      await expect(client.ask("getXcr", { xcr: 1 })).rejects.toEqual(refused(Errno.EINVAL));
    }
    reply();
    await ended;
    expect(result()).toBe(3n);
  });

  it("22 the extended state: what GET_XSAVE gives SET_XSAVE takes, and the guest has it", async () => {
    const { client, event, go, ended, result } = await run((a) => {
      a.mov(rax, cr4).or(rax, 0x200).mov(cr4, rax).mov(rax, 0x1234567890n).movq(xmm3, rax).int3().movq(rax, xmm3);
      store(a, rax);
    });
    await client.controlEvent(0, "breakpoint", true);
    await go();
    const { state, reply } = await event("breakpoint");
    const area = await client.command("getXsave", {});
    const view = new DataView(area.buffer, area.byteOffset, area.byteLength);
    expect([area.length, view.getBigUint64(160 + 48, true), view.getUint32(24, true)]).toEqual([
      4096,
      0x1234567890n,
      0x1f80,
    ]);
    view.setBigUint64(160 + 48, 77n, true);
    if (dialect !== "rfc7") {
      await client.command("setXsave", {}, 0, area);
      view.setUint32(24, 0xffffffff, true);
      await expect(client.command("setXsave", {}, 0, area)).rejects.toEqual(refused(Errno.EINVAL));
    }
    await client.setRegisters(0, { ...state.regs, rip: state.regs.rip + 1n });
    reply({ action: "retry" });
    await ended;
    expect(result()).toBe(dialect === "rfc7" ? 0x1234567890n : 77n);
  });

  it("23, 29 memory types and translation", async () => {
    const { client } = await idle({ dialect });
    expect((await client.ask("getMtrrType", { gpa: 0x1000n })).type).toBe(6);
    expect(await client.translate(0, 0x123456n)).toBe(0x123456n);
    expect(await client.translate(0, 2n ** 64n - 1n)).toBeNull();
    expect(await client.translate(0, 1n << 46n)).toBeNull();
  });

  it("29 translation with 5 levels of tables", async () => {
    const { client, machine } = await idle({ dialect });
    const gva = (1n << 52n) + 0x123456n;
    expect(await client.translate(0, gva)).toBeNull();
    const vcpu = machine.vcpus[0];
    const resume = vcpu?.hold();
    if (vcpu === undefined) throw new Error("a machine has a processor");
    const table = (gpa: number, index: number, entry: number) => {
      machine.memory.write(gpa + 8 * index, Uint8Array.of(entry, entry >> 8, entry >> 16, 0, 0, 0, 0, 0));
    };
    const [PRESENT, LARGE] = [1, 0x80];
    table(PAGE, 16, PRESENT | (PAGE + 0x1000));
    table(PAGE + 0x1000, 0, PRESENT | (PAGE + 0x2000));
    table(PAGE + 0x2000, 0, PRESENT | LARGE);
    const { cpu } = vcpu;
    const { cr3Lo } = cpu.paging;
    cpu.cr4 |= 0x1000;
    cpu.paging.cr3Lo = PAGE;
    cpu.updatePaging();
    expect(await client.translate(0, gva)).toBe(0x123456n);
    expect(await client.translate(0, gva + (1n << 56n))).toBeNull();
    cpu.cr4 &= ~0x1000;
    cpu.paging.cr3Lo = cr3Lo;
    cpu.updatePaging();
    resume?.();
  });

  it("18 CR0: CLTS is a write like any other, and none if TS is clear", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(rax, cr0).or(rax, 8).mov(cr0, rax).clts().clts().mov(rax, cr0).and(rax, 8);
      store(a, rax);
    });
    await client.controlEvent(0, "cr", true);
    await client.controlCr(0, 0, true);
    await go();
    const values: bigint[] = [];
    for (let k = 0; k < 2; k++) {
      const { data, reply } = await event("cr");
      values.push(data.new_value & 8n);
      reply();
    }
    await ended;
    expect([values, result()]).toEqual([[8n, 0n], 0n]);
  });

  it("24 SGDT and LGDT are seen, in order, and happen", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(rdi, RESULT).sgdt(mem(rdi)).lgdt(mem(rdi));
    });
    await client.controlEvent(0, "descriptor", true);
    await go();
    const first = await event("descriptor");
    expect(first.data).toEqual({ descriptor: 2, write: 0 });
    first.reply();
    const second = await event("descriptor");
    expect(second.data).toEqual({ descriptor: 2, write: 1 });
    expect(result() & 0xffffn).toBe(BigInt(second.state.sregs.gdt.limit));
    second.reply();
    await ended;
  });

  it("25 WRMSR is seen before it happens, and the tool decides what is written", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(ecx, 0x174).xor(edx, edx).mov(eax, 8).wrmsr().rdmsr();
      store(a, rax, 0);
      a.mov(eax, 9).wrmsr().rdmsr();
      store(a, rax, 1);
    });
    await client.controlEvent(0, "msr", true);
    await client.controlMsr(0, 0x174, true);
    await expect(client.controlMsr(0, 0xffffffff, true)).rejects.toEqual(refused(Errno.EINVAL));
    await go();
    const { data, reply } = await event("msr");
    expect(data).toEqual({ msr: 0x174, old_value: 0n, new_value: 8n });
    reply({ newValue: 0n });
    (await event("msr")).reply({ newValue: 5n });
    await ended;
    expect([result(0), result(1)]).toEqual([0n, 5n]);
  });

  it("26, 27 a page that may only be read: where and how it was written, and RETRY once it may be", async () => {
    const { client, machine, go, event, ended } = await run((a) => {
      a.mov(rdi, PAGE + 5)
        .mov(eax, 0x5a)
        .mov(mem(rdi), al);
    });
    await client.setPageAccess(new Map([[0, 0]]));
    await client.setPageAccess(new Map([[0, 7]]));
    await client.controlEvent(0, "pf", true);
    await client.setPageAccess(new Map([[PAGE, 1]]));
    await go();
    const { data, reply } = await event("pf");
    expect(data).toMatchObject({ gva: BigInt(PAGE + 5), gpa: BigInt(PAGE + 5), access: 2 });
    await client.setPageAccess(new Map([[PAGE, 3]]));
    reply({ action: "retry" });
    await ended;
    expect(machine.memory.readU8(PAGE + 5)).toBe(0x5a);
  });

  it("28 single-stepping: an event for every instruction, in order", async () => {
    const { client, go, event, ended, result } = await run((a) => {
      a.mov(eax, 0).inc(eax).inc(eax).inc(eax).inc(eax);
      store(a, rax);
    });
    if (dialect === "rfc7") await client.controlEvent(0, "singlestep", true);
    await client.controlSinglestep(0, true);
    await go();
    const seen: bigint[] = [];
    while (seen.at(-1) !== 4n) {
      const { data, state, reply } = await event("singlestep");
      expect(data.failed).toBe(0);
      seen.push(state.regs.rax);
      if (state.regs.rax === 4n) await client.controlSinglestep(0, false);
      reply();
    }
    expect(seen.slice(-5)).toEqual([0n, 1n, 2n, 3n, 4n]);
    await ended;
    expect(result()).toBe(4n);
  });
});
