import type { FakeMachine } from "../fake-machine.js";

/** Has `to`, a machine made like `from`, go on where that is: memory and what is behind the ports copied, the vCPU saved and restored. */
export function move(from: FakeMachine, to: FakeMachine): void {
  to.ram.set(from.ram);
  for (const [map, other] of [
    [to.mmu.pages, from.mmu.pages],
    [to.mmu.frames, from.mmu.frames],
  ] as const) {
    map.clear();
    for (const [key, value] of other as Map<number, never>) map.set(key, value);
  }
  to.apic.waiting.splice(0, Infinity, ...from.apic.waiting);
  to.apic.cr8 = from.apic.cr8;
  to.bus.log.splice(0, Infinity, ...from.bus.log);
  to.vcpu.restore(structuredClone(from.vcpu.save()));
}
