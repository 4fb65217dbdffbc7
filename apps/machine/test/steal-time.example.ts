import type { Installed, MachineHandle, Plugin } from "@vm/machine";

/** Of linux, Documentation/virt/kvm/x86: the MSR by which a guest says where it wants to be told, and the CPUID bit that announces it. */
const MSR_KVM_STEAL_TIME = 0x4b564d03;
const KVM_FEATURES = 0x40000001;
const KVM_FEATURE_STEAL_TIME = 1 << 5;
const ENABLED = 1n;

/** Tells the guest that each of its processors has been kept waiting for some time. */
export class StealTime implements Plugin {
  readonly name = "steal-time";
  readonly #nanoseconds: bigint;

  constructor(nanoseconds: bigint) {
    this.#nanoseconds = nanoseconds;
  }

  install({ additions, memory }: MachineHandle): Installed {
    const enabled = new Map<number, bigint>();
    additions.cpuidBits(KVM_FEATURES, { eax: KVM_FEATURE_STEAL_TIME });
    additions.msr(MSR_KVM_STEAL_TIME, {
      read: ({ id }) => enabled.get(id) ?? 0n,
      // Memory of a saved machine may still be arriving when the guest names it.
      reaches: (_, value) => ((value & ENABLED) === 0n ? null : { gpa: Number(value & ~63n), size: 8 }),
      write: ({ id }, value) => {
        enabled.set(id, value);
        // struct kvm_steal_time: 64 bits of steal, then a version, which would be odd while it changes.
        const steal = new Uint8Array(BigUint64Array.of(this.#nanoseconds).buffer);
        return (value & ENABLED) === 0n || memory.write(Number(value & ~63n), steal);
      },
    });
    return {
      saved: {
        save: () => [...enabled],
        restore: (state) => {
          for (const [id, value] of state as [number, bigint][]) enabled.set(id, value);
        },
      },
    };
  }
}
