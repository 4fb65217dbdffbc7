import type { Vcpu } from "@vm/cpu";
import { type ApicFabric, DeliveryMode } from "@vm/devices";

/** Numbers and results of hypercalls (Linux include/uapi/linux/kvm_para.h). */
const SEND_IPI = 10;
const NOT_PERMITTED = -1;
const UNKNOWN = -1000;

const [RAX, RCX, RDX, RBX, RSI] = [0, 1, 2, 3, 6];

/**
 * Answers VMCALL as KVM does, whose signature CPUID shows (Linux Documentation/virt/kvm/x86/hypercalls.rst): number in RAX, arguments in
 * RBX, RCX, RDX and RSI, result in RAX. Of the hypercalls there is SEND_IPI; any other gives -KVM_ENOSYS, and every one gives
 * -KVM_EPERM above CPL 0. Nothing is announced in CPUID, so guests that look do not call.
 */
export function answerHypercall(vcpu: Vcpu, bus: ApicFabric): void {
  const result = vcpu.cpl !== 0 ? NOT_PERMITTED : vcpu.regLo(RAX) === SEND_IPI ? sendIpi(vcpu, bus) : UNKNOWN;
  vcpu.setReg(RAX, result, vcpu.mode === 64 && result < 0 ? -1 : 0);
}

/** Sends to each APIC of a bitmap, 64 or 128 bits by mode, that begins at APIC id RDX; RSI is as the ICR's low half. Returns their number. */
function sendIpi(vcpu: Vcpu, bus: ApicFabric): number {
  const long = vcpu.mode === 64;
  const bitmap = long
    ? [vcpu.regLo(RBX), vcpu.regHi(RBX), vcpu.regLo(RCX), vcpu.regHi(RCX)]
    : [vcpu.regLo(RBX), vcpu.regLo(RCX)];
  const lowest = vcpu.regLo(RDX) >>> 0;
  const icr = vcpu.regLo(RSI);
  const mode = (icr >> 8) & 7;
  if (mode !== DeliveryMode.Fixed && mode !== DeliveryMode.Nmi) return 0;
  let sent = 0;
  bitmap.forEach((word, k) => {
    for (let bit = 0; bit < 32; bit++) {
      const destination = lowest + 32 * k + bit;
      if ((word & (1 << bit)) === 0 || destination >= 0xffffffff) continue;
      if (bus.send({ destination, logical: false, mode, vector: icr & 0xff, level: false })) sent++;
    }
  });
  return sent;
}
