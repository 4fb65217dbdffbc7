import { type ApicFabric, DeliveryMode } from "@vm/devices";
import type { VcpuHandle } from "../vcpu-handle.js";
import type { HypercallProvider } from "./additions.js";

/** Numbers and results of hypercalls (Linux include/uapi/linux/kvm_para.h). */
const SEND_IPI = 10;
const NOT_PERMITTED = -1;
const UNKNOWN = -1000;

/** Whether the machine itself answers a hypercall. */
export const ownsHypercall = (number: number): boolean => number === SEND_IPI;

/**
 * Answers VMCALL as KVM does, whose signature CPUID shows (Linux Documentation/virt/kvm/x86/hypercalls.rst): number in RAX, arguments in
 * RBX, RCX, RDX and RSI, result in RAX. Of the hypercalls there are SEND_IPI and what plugins provide; any other gives -KVM_ENOSYS, and every
 * one gives -KVM_EPERM above CPL 0. Nothing is announced in CPUID, so guests that look do not call.
 */
export function answerHypercall(
  vcpu: VcpuHandle,
  bus: ApicFabric,
  provided: (number: number) => HypercallProvider | undefined,
): void {
  const { cpu, registers } = vcpu;
  const number = Number(registers.rax & 0xffffffffn);
  const provider = provided(number);
  const answer = ((): bigint => {
    if (cpu.cpl !== 0) return BigInt(NOT_PERMITTED);
    if (provider !== undefined) return provider(vcpu);
    return BigInt(number === SEND_IPI ? sendIpi(vcpu, bus) : UNKNOWN);
  })();
  registers.rax = cpu.mode === 64 ? BigInt.asUintN(64, answer) : BigInt.asUintN(32, answer);
}

/** Sends to each APIC of a bitmap, 64 or 128 bits by mode, that begins at APIC id RDX; RSI is as the ICR's low half. Returns their number. */
function sendIpi({ cpu, registers }: VcpuHandle, bus: ApicFabric): number {
  const width = cpu.mode === 64 ? 64 : 32;
  const low = BigInt.asUintN(width, registers.rbx);
  const bitmap = low | (BigInt.asUintN(width, registers.rcx) << BigInt(width));
  const lowest = Number(BigInt.asUintN(32, registers.rdx));
  const icr = Number(BigInt.asUintN(32, registers.rsi));
  const mode = (icr >> 8) & 7;
  if (mode !== DeliveryMode.Fixed && mode !== DeliveryMode.Nmi) return 0;
  let sent = 0;
  for (let bit = 0; bit < 2 * width; bit++) {
    const destination = lowest + bit;
    if (((bitmap >> BigInt(bit)) & 1n) === 0n || destination >= 0xffffffff) continue;
    if (bus.send({ destination, logical: false, mode, vector: icr & 0xff, level: false })) sent++;
  }
  return sent;
}
