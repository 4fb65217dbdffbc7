import { describe, expect, test } from "vitest";
import * as S from "../src/state.js";
import { CODE, DATA, FakeMachine, RAX, RBX, RDX, setReg } from "./fake-machine.js";

/** CR4.OSXSAVE. */
const OSXSAVE = 0x40000;
/** Bytes of an area with x87, SSE and PKRU. */
const AREA = 584;
/** Two pages whose frames are not neighbours. */
const [FIRST, SECOND] = [0x60000, 0x61000];
const [FIRST_GFN, SECOND_GFN] = [0x50, 0x48];

const XSAVE = [0x48, 0x0f, 0xae, 0x23];
const XRSTOR = [0x48, 0x0f, 0xae, 0x2b];
const FXSAVE = [0x48, 0x0f, 0xae, 0x03];
const FXRSTOR = [0x48, 0x0f, 0xae, 0x0b];

function machine(): FakeMachine {
  const m = new FakeMachine();
  m.vcpu.cr4 |= OSXSAVE;
  m.vcpu.xcr0 = 0x203;
  m.map(FIRST, { gfn: FIRST_GFN });
  m.map(SECOND, { gfn: SECOND_GFN });
  m.vcpu.setPkru(0x40);
  for (let k = 0; k < 256; k++) m.vcpu.setU8(S.XMM + k, k ^ 0x5a);
  m.assemble(CODE, (a) => a.fldpi().fld1().hlt());
  m.go();
  return m;
}

/** Executes `bytes`, which name [RBX], once. */
function run(m: FakeMachine, bytes: readonly number[], area: number): void {
  m.write(CODE + 0x100, [...bytes, 0xf4]);
  m.vcpu.activity = "active";
  m.vcpu.setRip(CODE + 0x100, 0);
  setReg(m.vcpu, RBX, area);
  setReg(m.vcpu, RAX, -1);
  setReg(m.vcpu, RDX, 0);
  expect(m.go()).toEqual({ reason: "hlt" });
}

/** Where byte `k` of the area at `area` is in RAM. */
function place(area: number, k: number): number {
  const at = area + k;
  if (at < FIRST || at >= SECOND + 4096) return at;
  return at < SECOND ? FIRST_GFN * 4096 + at - FIRST : SECOND_GFN * 4096 + at - SECOND;
}
const bytesAt = (m: FakeMachine, area: number): number[] =>
  Array.from({ length: AREA }, (_, k) => m.ram[place(area, k)] as number);
const state = ({ vcpu }: FakeMachine): number[] => [
  ...vcpu.bytes(S.XMM, 256),
  ...vcpu.bytes(S.FPR, 128).filter((_, k) => k % 16 < 10),
  vcpu.u16(S.FCW),
  vcpu.u16(S.FSW),
  vcpu.u8(S.FTW),
];

describe.each([64, 128, 192, 256, 320, 384, 448, 512, 576])(
  "an area of which %d bytes are before a page boundary",
  (before) => {
    const across = SECOND - before;
    test.each([
      ["XSAVE", XSAVE, XRSTOR],
      ["FXSAVE", FXSAVE, FXRSTOR],
    ])("%s and its restoring are as in one page, without TLB entries and then with them", (_, save, restore) => {
      const m = machine();
      run(m, save, DATA);
      const expected = bytesAt(m, DATA);
      const saved = state(m);
      for (let time = 0; time < 3; time++) {
        for (let k = 0; k < AREA; k++) m.ram[place(across, k)] = 0;
        run(m, save, across);
        expect(bytesAt(m, across)).toEqual(expected);
        m.vcpu.bytes(S.XMM, 256).fill(time);
        m.vcpu.bytes(S.FPR, 128).fill(time);
        run(m, restore, across);
        expect(state(m)).toEqual(saved);
      }
    });
  },
);
