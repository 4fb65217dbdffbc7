import { eax, ecx, edx, rax, xmm3 } from "@vm/asm";
import { describe, expect, test } from "vitest";
import { loadXsave, saveXsave } from "../src/index.js";
import { CODE, FakeMachine } from "./fake-machine.js";

/** CR4.OSXSAVE. */
const OSXSAVE = 0x40000;
const MXCSR = 24;
const XMM3 = 160 + 48;
const XSTATE_BV = 512;
const PKRU = 576;

function ran(): FakeMachine {
  const m = new FakeMachine();
  m.assemble(CODE, (a) => a.fld1().mov(rax, 0x1234567890n).movq(xmm3, rax).hlt());
  m.go();
  return m;
}

function image(m: FakeMachine): DataView {
  const area = new Uint8Array(4096);
  saveXsave(m.vcpu, area);
  return new DataView(area.buffer);
}

const load = (m: FakeMachine, view: DataView): boolean => loadXsave(m.vcpu, new Uint8Array(view.buffer));

describe("the extended state from outside", () => {
  test("has x87, SSE and their control words, in the standard format", () => {
    const view = image(ran());
    expect([view.getUint16(0, true), view.getUint16(40, true), view.getUint32(MXCSR, true)]).toEqual([
      0x37f, 0x3fff, 0x1f80,
    ]);
    expect([view.getBigUint64(XMM3, true), view.getUint32(XSTATE_BV, true)]).toEqual([0x1234567890n, 3]);
  });

  test("comes back as it was saved", () => {
    const m = ran();
    const before = image(m);
    const other = image(m);
    other.setBigUint64(XMM3, 77n, true);
    other.setUint32(MXCSR, 0x1fc0, true);
    expect(load(m, other)).toBe(true);
    expect(image(m)).toEqual(other);
    expect(load(m, before)).toBe(true);
    expect(image(m)).toEqual(before);
  });

  test("a component that is absent is initialized", () => {
    const m = ran();
    const view = image(m);
    view.setUint32(XSTATE_BV, 0, true);
    expect(load(m, view)).toBe(true);
    expect([image(m).getBigUint64(XMM3, true), image(m).getUint16(40, true)]).toEqual([0n, 0]);
  });

  test("PKRU is part of it once XCR0 enables it", () => {
    const m = ran();
    m.vcpu.xcr0 = 0x203;
    m.vcpu.setPkru(0x55555554);
    const view = image(m);
    expect([view.getUint32(XSTATE_BV, true), view.getUint32(PKRU, true)]).toEqual([0x203, 0x55555554]);
    view.setUint32(PKRU, 4, true);
    expect(load(m, view)).toBe(true);
    expect(m.vcpu.paging.pkru).toBe(4);
  });

  test.each([
    ["a component that XCR0 does not enable", XSTATE_BV, 0x203],
    ["the compacted format", XSTATE_BV + 12, 0x80000000],
    ["a reserved byte of the header", XSTATE_BV + 16, 1],
    ["a reserved bit of MXCSR", MXCSR, 0x10000],
  ])("%s is refused, with nothing changed", (_, at, value) => {
    const m = ran();
    const before = image(m);
    const view = image(m);
    view.setBigUint64(XMM3, 77n, true);
    view.setUint32(at, value, true);
    expect(load(m, view)).toBe(false);
    expect(image(m)).toEqual(before);
  });
});

describe("XSETBV", () => {
  const xsetbv = (answer: boolean, leave = false): { m: FakeMachine; calls: unknown[] } => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.mov(eax, 3).xor(ecx, ecx).xor(edx, edx).xsetbv().hlt());
    m.vcpu.cr4 |= OSXSAVE;
    const calls: unknown[] = [];
    m.vcpu.hooks.extendedControl = (...args) => {
      calls.push(args);
      return leave ? m.vcpu.leave() : answer;
    };
    const exit = m.go();
    expect(exit.reason).toBe(leave ? "intercepted" : "hlt");
    return { m, calls };
  };

  test("is seen before it takes effect, and can be suppressed", () => {
    const seen = xsetbv(true);
    expect([seen.calls, seen.m.vcpu.xcr0]).toEqual([[[3n]], 3]);
    expect(xsetbv(false).m.vcpu.xcr0).toBe(1);
  });

  test("is left undone when the observer leaves", () => {
    const { m } = xsetbv(true, true);
    expect(m.vcpu.xcr0).toBe(1);
    m.vcpu.hooks = {};
    m.go();
    expect(m.vcpu.xcr0).toBe(3);
  });
});
