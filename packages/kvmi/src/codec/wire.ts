import { array, bytes, ignored, pad, s32, s64, u8, u16, u32, u64 } from "./field.js";
import { struct } from "./struct.js";

/** Largest payload behind a header: two pages less the header. A longer message closes the connection. */
export const MAX_PAYLOAD = 2 * 4096 - 8;
export const PAGE = 4096;

/** kvmi_msg_hdr: every message starts with it; `size` counts the bytes behind it. */
export const header = struct({ id: u16, size: u16, seq: u32 });
/** kvmi_error_code: every reply starts with it; `err` is zero or a negated error. */
export const errorCode = struct({ err: s32, _: ignored(4) });
/** kvmi_vcpu_hdr: every vCPU command and every event reply starts with it. */
export const vcpuHeader = struct({ vcpu: u16, _1: pad(2), _2: pad(4) });

/** What the VM says first on a new connection (qemu_to_introspector). `start_time` in seconds since 1970; `name` ends with NUL. */
export const handshakeFromVm = struct({
  struct_size: u32,
  uuid: bytes(16),
  _: pad(4),
  start_time: s64,
  name: bytes(64),
});
/** What the tool answers (introspector_to_qemu). `cookie_hash` is the SHA-1 of the shared secret. */
export const handshakeFromTool = struct({ struct_size: u32, cookie_hash: bytes(20) });

/** kvm_regs. */
export const kvmRegs = struct({
  rax: u64,
  rbx: u64,
  rcx: u64,
  rdx: u64,
  rsi: u64,
  rdi: u64,
  rsp: u64,
  rbp: u64,
  r8: u64,
  r9: u64,
  r10: u64,
  r11: u64,
  r12: u64,
  r13: u64,
  r14: u64,
  r15: u64,
  rip: u64,
  rflags: u64,
});

/** kvm_segment; `limit` in bytes, inclusive. */
export const kvmSegment = struct({
  base: u64,
  limit: u32,
  selector: u16,
  type: u8,
  present: u8,
  dpl: u8,
  db: u8,
  s: u8,
  l: u8,
  g: u8,
  avl: u8,
  unusable: u8,
  _: ignored(1),
});

/** kvm_dtable. */
export const kvmDtable = struct({ base: u64, limit: u16, _: ignored(6) });

/** kvm_sregs. */
export const kvmSregs = struct({
  cs: kvmSegment,
  ds: kvmSegment,
  es: kvmSegment,
  fs: kvmSegment,
  gs: kvmSegment,
  ss: kvmSegment,
  tr: kvmSegment,
  ldt: kvmSegment,
  gdt: kvmDtable,
  idt: kvmDtable,
  cr0: u64,
  cr2: u64,
  cr3: u64,
  cr4: u64,
  cr8: u64,
  efer: u64,
  apic_base: u64,
  interrupt_bitmap: array(u64, 4),
});

/** The MSRs every event carries, by number, in order. */
export const EVENT_MSRS: readonly number[] = [
  0x174, 0x175, 0x176, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0x277, 0xc0000102,
];

/** kvmi_event_arch: the state of the vCPU that every event carries. `mode` is 2, 4 or 8 bytes. */
export const eventArch = struct({
  mode: u8,
  _1: ignored(1),
  view: u16,
  _2: ignored(4),
  regs: kvmRegs,
  sregs: kvmSregs,
  msrs: struct({
    sysenter_cs: u64,
    sysenter_esp: u64,
    sysenter_eip: u64,
    efer: u64,
    star: u64,
    lstar: u64,
    cstar: u64,
    pat: u64,
    shadow_gs: u64,
  }),
});

/** kvm_msr_entry. */
export const msrEntry = struct({ index: u32, _: ignored(4), data: u64 });
