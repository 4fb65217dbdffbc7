import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pad, u8, u16, u32, u64 } from "../src/codec/field.js";
import { LayoutError, struct } from "../src/codec/struct.js";
import * as W from "../src/codec/wire.js";
import * as L from "../src/dialect/layouts.js";

describe("the codec", () => {
  it("lays fields out as C does, and refuses what C would pad", () => {
    expect(struct({ a: u16, b: u16, c: u32, d: u64 }).size).toBe(16);
    expect(() => struct({ a: u8, b: u16 })).toThrow(LayoutError);
    expect(() => struct({ a: u64, b: u8 })).toThrow(LayoutError);
  });

  it("reads what it wrote, and writes zeros into padding", () => {
    fc.assert(
      fc.property(fc.nat(0xffff), fc.nat(0xff), fc.bigInt(0n, 2n ** 64n - 1n), (a, b, c) => {
        const s = struct({ a: u16, b: u8, _: pad(5), c: u64 });
        const bytes = s.encode({ a, b, c });
        expect(s.decode(bytes)).toEqual({ a, b, c });
        expect(s.clean(new DataView(bytes.buffer), 0)).toBe(true);
        bytes[5] = 1;
        expect(s.clean(new DataView(bytes.buffer), 0)).toBe(false);
      }),
    );
  });

  it("is little-endian", () => {
    expect([...W.header.encode({ id: 0x102, size: 0x304, seq: 0x05060708 })]).toEqual([2, 1, 4, 3, 8, 7, 6, 5]);
  });
});

describe("sizes", () => {
  // As the C compiler has them for libkvmi's headers.
  it.each([
    ["kvmi_msg_hdr", W.header, 8],
    ["kvmi_error_code", W.errorCode, 8],
    ["kvmi_vcpu_hdr", W.vcpuHeader, 8],
    ["qemu_to_introspector", W.handshakeFromVm, 96],
    ["introspector_to_qemu", W.handshakeFromTool, 24],
    ["kvm_regs", W.kvmRegs, 144],
    ["kvm_segment", W.kvmSegment, 24],
    ["kvm_dtable", W.kvmDtable, 16],
    ["kvm_sregs", W.kvmSregs, 312],
    ["kvm_msr_entry", W.msrEntry, 16],
    ["kvmi_event_arch", W.eventArch, 536],
    ["kvmi_get_version_reply", L.versionReply, 16],
    ["kvmi_get_version_reply (v12)", L.versionReplyLimit, 16],
    ["kvmi_get_version_reply (rfc7)", L.versionReplyPlain, 16],
    ["kvmi_check_command", L.idRequest, 8],
    ["kvmi_pause_vcpu", L.pauseRequest, 8],
    ["kvmi_vm_pause_vcpu (v12)", L.pauseVcpu, 8],
    ["kvmi_control_events", L.controlEvents, 8],
    ["kvmi_control_cr", L.controlCr, 8],
    ["kvmi_vcpu_control_cr (v12)", L.controlCrByte, 8],
    ["kvmi_control_msr", L.controlMsr, 8],
    ["kvmi_get_registers", L.getRegisters, 8],
    ["kvmi_get_registers_reply", L.registersReply, 472],
    ["kvmi_read_physical", L.physical, 16],
    ["kvmi_vm_read_physical (v12)", L.physicalShort, 16],
    ["kvmi_inject_exception", L.injectException, 16],
    ["kvmi_set_page_access", L.setPageAccess, 8],
    ["kvmi_vm_set_page_access (rfc7)", L.setPageAccessPlain, 8],
    ["kvmi_page_access_entry", L.pageAccessEntry, 16],
    ["kvmi_control_cmd_response", L.controlCmdResponse, 8],
    ["kvmi_vcpu_change_gfn", L.changeGfn, 24],
    ["kvmi_control_ept_view_req", L.controlEptView, 8],
    ["kvmi_event_cr", L.crEvent, 24],
    ["kvmi_vcpu_event_cr (v12)", L.crEventByte, 24],
    ["kvmi_event_msr", L.msrEvent, 24],
    ["kvmi_vcpu_event_xsetbv (v12)", L.xsetbvEvent, 24],
    ["kvmi_event_breakpoint", L.breakpointEvent, 16],
    ["kvmi_event_pf", L.pfEvent, 24],
    ["kvmi_event_pf_reply", L.pfReply, 272],
    ["kvmi_event_trap", L.trapEvent, 16],
    ["kvmi_event_descriptor", L.descriptorEvent, 8],
    ["kvmi_event_singlestep", L.singlestepEvent, 8],
    ["kvmi_event_cmd_error", L.cmdErrorEvent, 16],
    ["kvmi_event_cpuid", L.cpuidEvent, 16],
    ["kvmi_event_reply", L.eventReply, 8],
  ])("%s", (_name, layout, size) => {
    expect(layout.size).toBe(size);
  });

  it("the largest payload is two pages less the header", () => {
    expect(W.MAX_PAYLOAD).toBe(8184);
  });
});

describe("offsets", () => {
  it.each([
    ["qemu_to_introspector", W.handshakeFromVm, { struct_size: 0, uuid: 4, start_time: 24, name: 32 }],
    ["introspector_to_qemu", W.handshakeFromTool, { cookie_hash: 4 }],
    [
      "kvm_regs",
      W.kvmRegs,
      { rax: 0, rbx: 8, rcx: 16, rdx: 24, rsi: 32, rdi: 40, rsp: 48, rbp: 56, r8: 64, r15: 120, rip: 128, rflags: 136 },
    ],
    [
      "kvm_segment",
      W.kvmSegment,
      {
        limit: 8,
        selector: 12,
        type: 14,
        present: 15,
        dpl: 16,
        db: 17,
        s: 18,
        l: 19,
        g: 20,
        avl: 21,
        unusable: 22,
      },
    ],
    [
      "kvm_sregs",
      W.kvmSregs,
      {
        cs: 0,
        ds: 24,
        es: 48,
        fs: 72,
        gs: 96,
        ss: 120,
        tr: 144,
        ldt: 168,
        gdt: 192,
        idt: 208,
        cr0: 224,
        cr2: 232,
        cr3: 240,
        cr4: 248,
        cr8: 256,
        efer: 264,
        apic_base: 272,
        interrupt_bitmap: 280,
      },
    ],
    ["kvmi_event_arch", W.eventArch, { mode: 0, view: 2, regs: 8, sregs: 152, msrs: 464 }],
    ["kvmi_get_registers_reply", L.registersReply, { mode: 0, regs: 8, sregs: 152, count: 464 }],
    ["kvmi_get_version_reply", L.versionReply, { spp: 8, vmfunc: 9, eptp: 10, ve: 11, singlestep: 12 }],
    ["kvmi_set_page_access", L.setPageAccess, { view: 0, count: 2 }],
    ["kvmi_vm_set_page_access (rfc7)", L.setPageAccessPlain, { count: 0 }],
    ["kvmi_page_access_entry", L.pageAccessEntry, { gpa: 0, access: 8 }],
    ["kvmi_event_cr", L.crEvent, { cr: 0, old_value: 8, new_value: 16 }],
    ["kvmi_event_pf", L.pfEvent, { gva: 0, gpa: 8, access: 16, view: 18 }],
    ["kvmi_event_pf_reply", L.pfReply, { ctx_addr: 0, ctx_size: 8, singlestep: 12, rep_complete: 13, ctx_data: 16 }],
    ["kvmi_event_trap", L.trapEvent, { nr: 0, error_code: 4, address: 8 }],
    ["kvmi_event_cmd_error", L.cmdErrorEvent, { err: 0, msg_seq: 4, msg_id: 8 }],
    ["kvmi_vcpu_control_cr (v12)", L.controlCrByte, { cr: 0, enable: 1 }],
    ["kvmi_control_cr", L.controlCr, { enable: 0, cr: 4 }],
    ["kvmi_vm_pause_vcpu (v12)", L.pauseVcpu, { vcpu: 0, wait: 2 }],
    ["kvmi_inject_exception", L.injectException, { nr: 0, error_code: 4, address: 8 }],
    ["kvmi_vcpu_change_gfn", L.changeGfn, { view: 0, old_gfn: 8, new_gfn: 16 }],
  ])("%s", (_name, layout, offsets) => {
    expect(Object.fromEntries(Object.keys(offsets).map((name) => [name, layout.offset(name)]))).toEqual(offsets);
  });
});
