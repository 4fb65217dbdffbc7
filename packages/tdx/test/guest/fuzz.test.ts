// Random TDCALLs, and random questions of the processor, from kernel and user: 2000 here; `VM_TDX_FUZZ=1000000` for a million. `VM_TDX_FUZZ_SEED` starts elsewhere.
import { describe, expect, it } from "vitest";
import { Gpr } from "../../src/module/gpr.js";
import { SeptState } from "../../src/module/sept-state.js";
import { Status, statusName } from "../../src/module/status.js";
import { OpState } from "../../src/module/td.js";
import { SYS_FIELDS, TD_FIELDS, VMCS_FIELDS, VP_FIELDS } from "../../src/tables/fields.js";
import { guest } from "./fixture.js";

const ROUNDS = Number(process.env.VM_TDX_FUZZ ?? 2000);
const SEED = Number(process.env.VM_TDX_FUZZ_SEED ?? 20261201);
const FIELDS = [...SYS_FIELDS, ...TD_FIELDS, ...VMCS_FIELDS, ...VP_FIELDS].map(({ id }) => id);
const ADDRESSES = [0x5000n, 0x5040n, 0x5400n, 0x6000n, 0x8000n, 0x20_0001n, 0x40_0000n, BigInt(2 ** 47 + 0x9000)];
const HOUR = 3_600_000;
const KNOWN = new Set<bigint>(Object.values(Status));

/** Numbers of 32 bits, the same for the same seed. */
function random(seed: number) {
  let state = seed >>> 0 || 1;
  return (below = 2 ** 32): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** 64 bits: all of them random, few of them, a field, or an address. */
function operand(next: (below?: number) => number): bigint {
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

function world() {
  const td = guest({ configFlags: 2n });
  td.map(0x5000, 0x7000);
  td.map(0x6000, 0x8000, SeptState.Pending);
  td.map(0x20_0000, 0x60_0000, SeptState.Pending, 1);
  td.shared.set(0x9000, { bytes: new Uint8Array(4096) });
  return td;
}

/** All that no guest may change, as text. */
function fixed({ td, vcpu, module, page }: ReturnType<typeof guest>): string {
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

describe(`the door of a TD, ${ROUNDS} rounds from seed ${SEED}`, () => {
  it("answers any TDCALL with a known status, an exit or an exception, and lets nothing else through", {
    timeout: HOUR,
  }, () => {
    const next = random(SEED);
    let td = world();
    let before = fixed(td);
    const seen = new Set<string>();
    for (let round = 0; round < ROUNDS; round++) {
      if (round % 500 === 0) {
        expect(fixed(td)).toBe(before);
        td = world();
        before = fixed(td);
      }
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
        expect.fail(`round ${round}: ${problem}; registers ${[...kept].map((value) => value.toString(16))}`);
      if (outcome === "done") seen.add(statusName(cpu.gpr.get(Gpr.Rax)) ?? "");
    }
    expect(fixed(td)).toBe(before);
    expect(td.td.opState).toBe(OpState.Runnable);
    for (const name of ["SUCCESS", "OPERAND_INVALID", "METADATA_FIELD_ID_INCORRECT", "NO_VALID_VE_INFO"])
      expect(seen).toContain(name);
  });

  it("answers any CPUID, MSR, port, control register and address as well", { timeout: HOUR }, () => {
    const next = random(SEED + 1);
    const td = world();
    const { cpu, door, vcpu } = td;
    const before = fixed(td);
    const access = () => (["read", "write", "fetch"] as const)[next(3)] ?? "read";
    const msr = () => [next(0x2000), 0xc000_0000 + next(0x2000), next()][next(3)] ?? 0;
    const questions = [
      () => door.cpuid(next(), next()),
      () => door.cpuid(next(0x24), next(20)),
      () => door.rdmsr(msr()),
      () => door.wrmsr(msr(), operand(next)),
      () => door.io({ port: next(0x1_0000), size: 4, isIn: next(2) === 0 }),
      () => door.controlRegister(next(9), operand(next), next(16)),
      () => door.xsetbv(next(3), operand(next)),
      () => door.privateViolation(next() * 4096, operand(next), access()),
      () => door.sharedViolation(2 ** 47 + next() * 16, operand(next), access(), next(2) === 0),
    ];
    const vectors = new Set([6, 8, 13, 20]);
    for (let round = 0; round < ROUNDS; round++) {
      cpu.cpl = next(2) * 3;
      cpu.injected.length = 0;
      if (next(3) !== 0) vcpu.veInfo.valid = false;
      const outcome = questions[next(questions.length)]?.();
      const exit = door.takeExit();
      const [[vector] = []] = cpu.injected;
      const isException = cpu.injected.length === 1 && vectors.has(vector ?? 0);
      const isRight =
        (exit !== undefined) === (outcome === "exit") &&
        (outcome === "exception" ? isException : cpu.injected.length === 0);
      if (!isRight) expect.fail(`round ${round}: ${outcome}, vector ${vector}, ${exit?.exit.reason}`);
    }
    expect(fixed(td)).toBe(before);
  });
});
