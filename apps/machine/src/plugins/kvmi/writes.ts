import { halvesOf, readMsr, u64, type Vcpu, writeControlRegister, writeMsr } from "@vm/cpu";
import type { Disposer } from "../../emitter.js";
import type { Intercepted } from "./intercepted.js";
import type { Decision } from "./undone.js";

const GP = 13;
/** Bit 63 of a value moved to CR3 asks to keep translations and is not stored. */
const CR3_NO_FLUSH = 1n << 63n;

/** Writes that change CR0, CR3 or CR4. */
export function onControlRegister({ handle, undone, crs, wants, events }: Intercepted): Disposer {
  const { cpu } = handle;
  return handle.on("controlRegister", (cr, written) => {
    if (cr === 8) return true;
    const decision = undone.take("cr");
    const value = cr === 3 ? written & ~CR3_NO_FLUSH : written;
    if (decision !== null) return write(cpu, decision, value, (a, b) => writeControlRegister(cpu, cr, a, b));
    if (!wants("cr") || !crs.has(cr)) return true;
    const old = cr === 0 ? u64(cpu.cr0, 0) : cr === 4 ? u64(cpu.cr4, 0) : u64(cpu.paging.cr3Lo, cpu.paging.cr3Hi);
    if (old === value) return true;
    return undone.leave("cr", () => undone.askValue("cr", value, (done) => events()?.cr(cr, old, value, done)));
  });
}

/** WRMSR that changes an MSR. */
export function onMsr({ handle, undone, msrs, wants, events }: Intercepted): Disposer {
  const { cpu } = handle;
  return handle.on("msrWrite", (msr, value) => {
    const decision = undone.take("msr");
    if (decision !== null)
      return write(cpu, decision, value, (a, b) => writeMsr(cpu, msr, a, b) || cpu.raiseError(GP, 0));
    if (!wants("msr") || !msrs.has(msr)) return true;
    const current = { lo: 0, hi: 0 };
    const old = readMsr(cpu, msr, current) ? u64(current.lo, current.hi) : 0n;
    if (old === value) return true;
    return undone.leave("msr", () => undone.askValue("msr", value, (done) => events()?.msr(msr, old, value, done)));
  });
}

/** Does what was decided. True: the instruction goes on with its own value. */
function write(cpu: Vcpu, { value }: Decision, own: bigint, store: (lo: number, hi: number) => boolean): boolean {
  if (value === own) return true;
  if (value === null || value === undefined) return cpu.raiseError(GP, 0);
  store(...halvesOf(value));
  return false;
}
