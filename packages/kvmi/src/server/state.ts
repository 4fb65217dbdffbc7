import { EVENT_MSRS, eventArch } from "../codec/wire.js";
import type { VcpuPort } from "../ports.js";

/** Bytes before kvmi_event_arch in an event: size, vCPU, event or padding. */
export const EVENT_HEAD = 8;
/** The common part of an event. */
export const EVENT_COMMON = EVENT_HEAD + eventArch.size;

const MODE = eventArch.offset("mode");
const VIEW = eventArch.offset("view");
const REGS = eventArch.offset("regs");
const SREGS = eventArch.offset("sregs");
const MSRS = eventArch.offset("msrs");

/** Writes kvmi_event_arch of a vCPU at `at`; MSRs it does not have stay as they are. */
export function writeState(vcpu: VcpuPort, to: DataView, at: number): void {
  to.setUint8(at + MODE, vcpu.mode());
  to.setUint16(at + VIEW, vcpu.view, true);
  vcpu.saveRegs(to, at + REGS);
  vcpu.saveSregs(to, at + SREGS);
  for (let k = 0; k < EVENT_MSRS.length; k++) vcpu.saveMsr(EVENT_MSRS[k] as number, to, at + MSRS + 8 * k);
}
