import type { EventName } from "../src/index.js";
import type { FakeVm } from "./fakes.js";

const KINDS: readonly EventName[] = ["cr", "msr", "breakpoint", "hypercall", "pf", "descriptor", "cpuid", "singlestep"];

/** The guest does something that may be reported. */
export function happen(vm: FakeVm, next: (below: number) => number): void {
  const vcpu = vm.vcpus[next(vm.vcpus.length)];
  if (vcpu === undefined || vcpu.held || vcpu.busy) return;
  const { events } = vcpu;
  const done = (): void => undefined;
  switch (KINDS[next(KINDS.length)]) {
    case "cr":
      events?.cr(([0, 3, 4] as const)[next(3)] ?? 0, 1n, 2n, done);
      break;
    case "msr":
      events?.msr(next(0x2000), 1n, 2n, done);
      break;
    case "breakpoint":
      events?.breakpoint(next(0x4000), 1, done);
      break;
    case "pf":
      events?.pageFault(null, next(0x4000), 1 << next(3), done);
      break;
    case "descriptor":
      events?.descriptor(1 + next(4), next(2) === 1, done);
      break;
    case "cpuid":
      events?.cpuid(next(8), 0, 2, done);
      break;
    case "singlestep":
      events?.stepped(false);
      break;
    default:
      events?.hypercall(done);
  }
}
