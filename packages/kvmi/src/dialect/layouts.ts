import { bytes, ignored, pad, s32, u8, u16, u32, u64 } from "../codec/field.js";
import { struct } from "../codec/struct.js";
import { kvmRegs, kvmSregs } from "../codec/wire.js";

// Requests, behind the vCPU header where there is one. Names as in include/uapi/linux/kvmi.h, sizes in the tests.

export const idRequest = struct({ id: u16, _1: pad(2), _2: pad(4) });
export const pauseRequest = struct({ wait: u8, _1: pad(1), _2: pad(2), _3: pad(4) });
export const pauseVcpu = struct({ vcpu: u16, wait: u8, _1: pad(1), _2: pad(4) });
export const controlEvents = struct({ event_id: u16, enable: u8, _1: pad(1), _2: pad(4) });
export const controlCr = struct({ enable: u8, _1: pad(1), _2: pad(2), cr: u32 });
export const controlCrByte = struct({ cr: u8, enable: u8, _1: pad(2), _2: pad(4) });
export const controlMsr = struct({ enable: u8, _1: pad(1), _2: pad(2), msr: u32 });
/** Followed by `nmsrs` numbers of 32 bits. */
export const getRegisters = struct({ nmsrs: u16, _1: pad(2), _2: pad(4) });
export const setRegisters = struct({ regs: bytes(kvmRegs.size) });
export const getCpuid = struct({ function: u32, index: u32 });
/** `size` bytes, within one page; followed by the bytes if they are written. */
export const physical = struct({ gpa: u64, size: u64 });
export const physicalShort = struct({ gpa: u64, size: u16, _1: pad(2), _2: pad(4) });
export const injectException = struct({ nr: u8, _1: pad(1), _2: pad(2), error_code: u32, address: u64 });
/** Followed by `count` {@link pageAccessEntry}s. */
export const setPageAccess = struct({ view: u16, count: u16, _: pad(4) });
export const setPageAccessPlain = struct({ count: u16, _1: pad(2), _2: pad(4) });
/** `access`: 1 read, 2 write, 4 execute. Its padding is judged entry by entry. */
export const pageAccessEntry = struct({ gpa: u64, access: u8, _1: pad(1), _2: pad(2), _3: pad(4) });
export const gpaRequest = struct({ gpa: u64 });
export const gvaRequest = struct({ gva: u64 });
export const gfnRequest = struct({ gfn: u64 });
export const viewRequest = struct({ view: u16, _: pad(6) });
export const controlEptView = struct({ view: u16, visible: u8, _1: pad(1), _2: pad(4) });
export const changeGfn = struct({ view: u16, _1: pad(2), _2: pad(4), old_gfn: u64, new_gfn: u64 });
/** {@link changeGfn} of older trees, told by its size. */
export const changeGfnOld = struct({ old_gfn: u64, new_gfn: u64 });
/** `flags` bit 0: report errors of silent commands as events. */
export const controlCmdResponse = struct({ enable: u8, now: u8, flags: u8, _1: pad(1), _2: pad(4) });
export const getXcr = struct({ xcr: u8, _: pad(7) });
export const switchRequest = struct({ enable: u8, _: pad(7) });
/** `flags`: 1 `cr3`, 2 `rip_from` and `rip_to`, 4 `value_mask` and `value_equals`, 8 `events` (bit n: event n) hold; 0: no filter. */
export const eventFilter = struct({
  flags: u32,
  events: u32,
  cr3: u64,
  rip_from: u64,
  rip_to: u64,
  value_mask: u64,
  value_equals: u64,
});
export const controlCodeBreakpoint = struct({ gva: u64, enable: u8, _: pad(7) });

// Reply data, behind the error code.

export const versionReply = struct({
  version: u32,
  _: ignored(4),
  spp: u8,
  vmfunc: u8,
  eptp: u8,
  ve: u8,
  singlestep: u8,
  _2: ignored(3),
});
export const versionReplyPlain = struct({ version: u32, _: ignored(4), singlestep: u8, _2: ignored(7) });
export const versionReplyLimit = struct({ version: u32, max_msg_size: u32, singlestep: u8, _: ignored(7) });
export const infoReply = struct({ vcpu_count: u32, _: ignored(12) });
/** Ticks of the TSC in a second; 0 if unknown. */
export const vcpuInfoReply = struct({ tsc_speed: u64 });
export const cpuidReply = struct({ eax: u32, ebx: u32, ecx: u32, edx: u32 });
/** 0 UC, 1 WC, 4 WT, 5 WP, 6 WB. */
export const mtrrReply = struct({ type: u8, _: ignored(7) });
export const xcrReply = struct({ value: u64 });
export const registersReply = struct({
  mode: u32,
  _1: ignored(4),
  regs: bytes(kvmRegs.size),
  sregs: bytes(kvmSregs.size),
  count: u32,
  _2: ignored(4),
});

// Events: what follows the common part, and what their replies carry behind the action.

export const newValue = struct({ new_val: u64 });
export const crEvent = struct({ cr: u16, _: ignored(6), old_value: u64, new_value: u64 });
export const crEventByte = struct({ cr: u8, _: ignored(7), old_value: u64, new_value: u64 });
export const msrEvent = struct({ msr: u32, _: ignored(4), old_value: u64, new_value: u64 });
export const xsetbvEvent = struct({ xcr: u8, _: ignored(7), old_value: u64, new_value: u64 });
/** `gpa` of the instruction, offset in its page included. */
export const breakpointEvent = struct({ gpa: u64, insn_len: u8, _: ignored(7) });
/** `access`: one bit, as in {@link pageAccessEntry}. `gva` is ~0 if it is not known. */
export const pfEvent = struct({ gva: u64, gpa: u64, access: u8, _1: ignored(1), view: u16, _2: ignored(4) });
export const pfReply = struct({
  ctx_addr: u64,
  ctx_size: u32,
  singlestep: u8,
  rep_complete: u8,
  _: pad(2),
  ctx_data: bytes(256),
});
export const trapEvent = struct({ nr: u8, _1: ignored(1), _2: ignored(2), error_code: u32, address: u64 });
/** `descriptor`: 1 IDTR, 2 GDTR, 3 LDTR, 4 TR. */
export const descriptorEvent = struct({ descriptor: u8, write: u8, _: ignored(6) });
/** `failed` is 1 if the instruction could not be stepped. */
export const singlestepEvent = struct({ failed: u8, _: ignored(7) });
export const cmdErrorEvent = struct({ err: s32, msg_seq: u32, msg_id: u16, _1: ignored(2), _2: ignored(4) });
export const cpuidEvent = struct({ function: u32, index: u32, insn_len: u8, _1: ignored(3), _2: ignored(4) });
/** Behind the vCPU header of an event reply; the specific part follows. */
export const eventReply = struct({ action: u8, event: u8, _1: pad(2), _2: pad(4) });
