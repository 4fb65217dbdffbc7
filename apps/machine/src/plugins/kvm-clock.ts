import { halvesOf, u64 } from "@vm/cpu";
import {
  KVM_CLOCK_FEATURES,
  KvmClock,
  type KvmClockState,
  MSR_KVM_SYSTEM_TIME,
  MSR_KVM_WALL_CLOCK,
  read,
  readKvmClock,
} from "@vm/devices";
import { tscOf } from "../board/tsc.js";
import type { Plugin } from "../plugin.js";
import { ReachableMemory } from "../reach.js";
import type { VcpuHandle } from "../vcpu-handle.js";

/** CPUID's leaf of KVM's paravirtual features. */
const KVM_FEATURES = 0x40000001;

/** KVM's paravirtual clock, announced in CPUID. */
export const kvmClock = (): Plugin => ({
  name: "kvm-clock",
  install({ vcpus, memory, clock, additions, unixTime }) {
    const reachable = new ReachableMemory(memory);
    const clocks = vcpus.map(
      ({ cpu }) => new KvmClock({ memory: reachable, now: () => clock.now(), tsc: tscOf(() => cpu), unixTime }),
    );
    const of = ({ id }: VcpuHandle): KvmClock => clocks[id] as KvmClock;
    for (const msr of [MSR_KVM_SYSTEM_TIME, MSR_KVM_WALL_CLOCK])
      additions.msr(msr, {
        read: (vcpu) => u64(of(vcpu).readMsr(msr), of(vcpu).hi),
        write: (vcpu, value) => of(vcpu).writeMsr(msr, ...halvesOf(value)),
        reaches: (vcpu, value) => of(vcpu).reaches(msr, ...halvesOf(value)),
      });
    additions.cpuidBits(KVM_FEATURES, { eax: KVM_CLOCK_FEATURES });
    const saved = {
      save: () => clocks.map((own) => own.save()),
      restore: (states: unknown) => {
        const known = read.list(readKvmClock, clocks.length)(states);
        for (const [k, own] of clocks.entries()) own.restore(known[k] as KvmClockState);
      },
    };
    return { saved };
  },
});
