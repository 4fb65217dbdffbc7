import { Gpr } from "../../src/module/gpr.js";
import { SeptState } from "../../src/module/sept-state.js";
import { Status, statusName } from "../../src/module/status.js";
import { SYS_FIELDS, TD_FIELDS, VMCS_FIELDS, VP_FIELDS } from "../../src/tables/fields.js";
import { guest } from "./fixture.js";

/** A whole number from 0 to below `below`, 2^32 unless told. */
export type Numbers = (below?: number) => number;

const FIELDS = [...SYS_FIELDS, ...TD_FIELDS, ...VMCS_FIELDS, ...VP_FIELDS].map(({ id }) => id);
const ADDRESSES = [0x5000n, 0x5040n, 0x5400n, 0x6000n, 0x8000n, 0x20_0001n, 0x40_0000n, BigInt(2 ** 47 + 0x9000)];
const KNOWN = new Set<bigint>(Object.values(Status));

/** 64 bits: all of them random, few of them, a field, or an address. */
export function operand(next: Numbers): bigint {
  const raw = (BigInt(next()) << 32n) | BigInt(next());
  const at = next();
  switch (at % 7) {
    case 0:
      return raw;
    case 1:
      return raw & 0xffn;
    case 2:
      return 1n << BigInt(at % 64);
    case 3:
      return (FIELDS[next(FIELDS.length)] ?? 0n) + BigInt(at % 3);
    case 4:
      return (1n << 64n) - 1n;
    case 5:
      return ADDRESSES[next(ADDRESSES.length)] ?? 0n;
    default:
      return 0n;
  }
}

/** A TD with a page, two that are pending, and one that it shares. */
export function world() {
  const td = guest({ configFlags: 2n });
  td.map(0x5000, 0x7000);
  td.map(0x6000, 0x8000, SeptState.Pending);
  td.map(0x20_0000, 0x60_0000, SeptState.Pending, 1);
  td.shared.set(0x9000, { bytes: new Uint8Array(4096) });
  return td;
}

/** All that no guest may change, as text. */
export function fixed({ td, vcpu, module, page }: ReturnType<typeof guest>): string {
  const { opState, lifecycle, fatal, chldcnt, attributes, xfam, configFlags, mrtd, numVcpus, uuid, cpuid } = td;
  const { state, index, xfam: own, pages } = vcpu;
  const host = page(0x1_0000).join();
  return String([
    opState,
    lifecycle,
    fatal,
    chldcnt,
    attributes,
    xfam,
    configFlags,
    mrtd,
    numVcpus,
    uuid,
    [...cpuid],
    state,
    index,
    own,
    pages,
    module.tds.size,
    host,
  ]);
}

/** What one TDCALL did wrong; undefined if nothing. Compared by hand, as there may be a million of them. */
function wrong(
  td: ReturnType<typeof guest>,
  kept: BigUint64Array,
  hadVe: boolean,
  outcome: string,
): string | undefined {
  const { cpu, door, vcpu } = td;
  const exit = door.takeExit();
  const [[vector, errorCode] = []] = cpu.injected;
  const isUnchanged = cpu.registers.every((value, gpr) => value === kept[gpr]);
  if (cpu.injected.length > 1) return "more than one exception";
  if ((exit !== undefined) !== (outcome === "exit")) return "an exit that is none";
  if (outcome !== "done" && !isUnchanged) return "registers changed without a status";
  if (cpu.cpl > 0)
    return outcome === "exception" && vector === 13 && errorCode === 0 ? undefined : "user code got through";
  if (outcome === "exit") {
    if (exit?.exit.reason !== "tdcall" && exit?.exit.reason !== "ept-violation") return `exit ${exit?.exit.reason}`;
    return vector === undefined && vcpu.veInfo.valid === hadVe ? undefined : "an exit with an exception";
  }
  if (outcome === "exception") return vector === (hadVe ? 8 : 20) ? undefined : `vector ${vector}`;
  if (outcome !== "done" || vector !== undefined) return `${outcome} with vector ${vector}`;
  if (cpu.registers[Gpr.Rsp] !== kept[Gpr.Rsp]) return "RSP changed";
  const status = cpu.gpr.get(Gpr.Rax);
  return KNOWN.has((status >> 32n) << 32n) ? undefined : `status 0x${status.toString(16)}`;
}

/**
 * A TDCALL with random registers.
 * @returns what it did wrong if anything, and the name of its status if it has one
 */
export function knock(td: ReturnType<typeof guest>, next: Numbers): { problem?: string; status?: string } {
  const { cpu, door, vcpu } = td;
  for (let i = 0; i < 16; i++) cpu.registers[i] = operand(next);
  if (next(8) !== 0) cpu.registers[Gpr.Rax] = BigInt(next(32)) | (next(4) === 0 ? 1n << 16n : 0n);
  cpu.cpl = next(8) === 0 ? 3 : 0;
  cpu.injected.length = 0;
  const kept = cpu.registers.slice();
  const hadVe = vcpu.veInfo.valid;
  const outcome = door.tdcall();
  const problem = wrong(td, kept, hadVe, outcome);
  if (problem !== undefined)
    return { problem: `${problem}; registers ${[...kept].map((value) => value.toString(16))}` };
  return outcome === "done" ? { status: statusName(cpu.gpr.get(Gpr.Rax)) ?? "" } : {};
}
