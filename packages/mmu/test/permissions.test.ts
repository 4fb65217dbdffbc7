import { expect, test } from "vitest";
import { Access, Licence, Status } from "../src/index.js";
import {
  CR0_NO_WP,
  CR0_PAGING,
  D,
  entriesOf,
  LMA,
  longMode,
  NXE,
  newMmu,
  P,
  PAE,
  PAGE,
  RW,
  SMAP,
  SMEP,
  translate,
  US,
  write64,
  XD,
} from "./fixture.js";
import { errorCodeOf, isAllowed, type Modes, type Request } from "./rights.js";

const KINDS = { read: 0, write: Access.Write, fetch: Access.Fetch } as const;
const MODES = { user: Access.User, explicit: 0, "explicit+ac": Access.Ac, implicit: Access.Implicit } as const;
const REQUESTS = (Object.keys(KINDS) as Request["kind"][]).flatMap((kind) =>
  (Object.keys(MODES) as Request["mode"][]).map((mode) => ({ kind, mode, access: KINDS[kind] | MODES[mode] })),
);
const LICENCES = [
  ["read", Licence.Read],
  ["write", Licence.Write],
  ["fetch", Licence.Fetch],
] as const;

/** Every combination of CR0.WP, CR4.SMEP, CR4.SMAP and EFER.NXE. */
const CONTROLS = Array.from({ length: 16 }, (_, bits) => {
  const modes: Modes = {
    wp: (bits & 1) !== 0,
    smep: (bits & 2) !== 0,
    smap: (bits & 4) !== 0,
    nxe: (bits & 8) !== 0,
    pae: true,
  };
  const cr4 = PAE | (modes.smep ? SMEP : 0) | (modes.smap ? SMAP : 0);
  const cr0 = modes.wp ? CR0_PAGING : CR0_NO_WP;
  return { modes, controls: longMode({ cr0, cr4, efer: LMA | (modes.nxe ? NXE : 0) }) };
});

const LINEAR = 0x0000_7edc_ba98_7000n;

test("access rights are the AND of R/W and U/S and the OR of XD over all four levels, judged as in SDM 4.6.1: all combinations", () => {
  const mmu = newMmu(16);
  const entries = entriesOf(LINEAR);
  const wrong: string[] = [];
  let checked = 0;
  for (let bits = 0; bits < 4096; bits++) {
    const path = { writable: true, userAddress: true, noExecute: false };
    for (const [i, gpa] of entries.entries()) {
      const rights = (bits >> (i * 3)) & 7;
      path.writable &&= (rights & 1) !== 0;
      path.userAddress &&= (rights & 2) !== 0;
      path.noExecute ||= (rights & 4) !== 0;
      const target = BigInt((i === 3 ? 9 : i + 2) * PAGE);
      write64(
        mmu,
        gpa,
        target |
          P |
          D |
          ((rights & 1) !== 0 ? RW : 0n) |
          ((rights & 2) !== 0 ? US : 0n) |
          ((rights & 4) !== 0 ? XD : 0n),
      );
    }
    for (const { modes, controls } of CONTROLS) {
      const reserved = path.noExecute && !modes.nxe;
      for (const request of REQUESTS) {
        checked++;
        const status = translate(mmu, controls, LINEAR, request.access);
        const { errorCode, licence } = mmu.translation;
        const allowed = !reserved && isAllowed(request, modes, path);
        let right = status === (allowed ? Status.Ok : Status.Fault);
        if (allowed) {
          for (const [kind, bit] of LICENCES) {
            right &&= ((licence & bit) !== 0) === isAllowed({ kind, mode: request.mode }, modes, path);
          }
        } else {
          right &&= errorCode === errorCodeOf(request, modes, true, reserved);
        }
        if (!right) wrong.push(JSON.stringify({ bits, modes, request, status, errorCode, licence }));
      }
    }
  }
  expect(wrong.slice(0, 5)).toEqual([]);
  expect(checked).toBe(4096 * 16 * 12);
});

test("an entry that is not present faults with P = 0 whatever the rights above it, at each level, for each access and mode", () => {
  const wrong: string[] = [];
  for (let missing = 0; missing < 4; missing++) {
    for (const rights of [0n, RW, US, RW | US]) {
      const mmu = newMmu(16);
      for (const [i, gpa] of entriesOf(LINEAR).entries()) {
        write64(mmu, gpa, i === missing ? RW | US | XD | 0x7f_ffff_f000n : BigInt((i + 2) * PAGE) | P | rights);
      }
      for (const { modes, controls } of CONTROLS) {
        for (const request of REQUESTS) {
          const status = translate(mmu, controls, LINEAR, request.access);
          const right =
            status === Status.Fault && mmu.translation.errorCode === errorCodeOf(request, modes, false, false);
          if (!right) wrong.push(JSON.stringify({ missing, modes, request, errorCode: mmu.translation.errorCode }));
        }
      }
    }
  }
  expect(wrong.slice(0, 5)).toEqual([]);
});

test("an implicit supervisor access made at CPL 3 is a supervisor access: U = 0 in the error code, supervisor pages allowed", () => {
  const mmu = newMmu(16);
  for (const [i, gpa] of entriesOf(LINEAR).entries()) write64(mmu, gpa, BigInt((i + 2) * PAGE) | P);
  expect(translate(mmu, longMode(), LINEAR, Access.Implicit | Access.User)).toBe(Status.Ok);
  expect(translate(mmu, longMode(), LINEAR, Access.Implicit | Access.User | Access.Write)).toBe(Status.Fault);
  expect(mmu.translation.errorCode).toBe(3);
});

test("EFLAGS.AC lifts SMAP for explicit supervisor accesses only", () => {
  const mmu = newMmu(16);
  for (const [i, gpa] of entriesOf(LINEAR).entries()) write64(mmu, gpa, BigInt((i + 2) * PAGE) | P | RW | US);
  const controls = longMode({ cr4: PAE | SMAP });
  expect(translate(mmu, controls, LINEAR, Access.Ac)).toBe(Status.Ok);
  expect(translate(mmu, controls, LINEAR, Access.Implicit | Access.Ac)).toBe(Status.Fault);
  expect(mmu.translation.errorCode).toBe(1);
});
