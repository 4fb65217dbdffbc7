import { u64 } from "@vm/cpu";
import type { Disposer } from "../../emitter.js";
import type { Intercepted } from "./intercepted.js";

/** VMCALL of KVM_HC_XEN_HVM_OP with HVMOP_guest_request_vm_event: how a guest reaches its introspector. */
const HYPERCALL = 34;
const GUEST_REQUEST = 24;
/** Decided about a hypercall that nobody was told of. */
const UNSEEN = null;
/** Tables as the protocol numbers them. */
const DESCRIPTORS = { idtr: 1, gdtr: 2, ldtr: 3, tr: 4 } as const;
const CPUID_LENGTH = 2;

/** Loads and stores of descriptor table registers. */
export function onDescriptor({ handle, undone, wants, events }: Intercepted): Disposer {
  return handle.on("descriptorTable", (table, write) => {
    if (undone.take("descriptor") !== null || !wants("descriptor")) return;
    undone.leave("descriptor", () =>
      undone.ask("descriptor", (done) => events()?.descriptor(DESCRIPTORS[table], write, done)),
    );
  });
}

/** XSETBV that changes XCR0. */
export function onXsetbv({ handle, undone, wants, events }: Intercepted): Disposer {
  return handle.on("extendedControl", (value) => {
    if (undone.take("xsetbv") !== null || !wants("xsetbv")) return true;
    const old = u64(handle.cpu.xcr0, 0);
    if (old === value) return true;
    return undone.leave("xsetbv", () => undone.ask("xsetbv", (done) => events()?.xsetbv(0, old, value, done)));
  });
}

export function onCpuid({ handle, undone, wants, events }: Intercepted): Disposer {
  return handle.on("cpuid", (leaf, subleaf) => {
    if (undone.take("cpuid") !== null || !wants("cpuid")) return;
    undone.leave("cpuid", () => undone.ask("cpuid", (done) => events()?.cpuid(leaf, subleaf, CPUID_LENGTH, done)));
  });
}

/** Registers as KVM has them for this hypercall: 64-bit code uses RDI and RSI, other code EBX and ECX. Any other is the machine's to answer. */
export function onHypercall({ handle, undone, wants, events }: Intercepted): Disposer {
  const { cpu } = handle;
  return handle.on("hypercall", () => {
    const wide = cpu.mode === 64;
    const [number, operation, argument] = [cpu.regLo(0), cpu.regLo(wide ? 7 : 3), cpu.regLo(wide ? 6 : 1)];
    if (number !== HYPERCALL || operation !== GUEST_REQUEST || argument !== 0 || cpu.cpl !== 0) return false;
    const decision = undone.take("hypercall");
    if (decision?.value === UNSEEN) return false;
    if (decision !== null) {
      cpu.setReg(0, 0, 0);
      return true;
    }
    if (!wants("hypercall")) return false;
    undone.leave("hypercall", () => {
      const here = undone.here();
      const done = (): void => (here() ? undone.decide("hypercall") : undone.forget());
      if (events()?.hypercall(done) !== true) undone.decide("hypercall", UNSEEN);
    });
    return true;
  });
}
