import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type VcpuState, VcpuStateError } from "../../src/index.js";
import { CODE, FakeMachine } from "../fake-machine.js";
import { states } from "./arbitrary-state.js";

/** Of what a value is made, by `typeof` and, for objects, by constructor. */
function kindsIn(value: unknown, into = new Set<string>()): Set<string> {
  if (typeof value !== "object" || value === null) return into.add(value === null ? "null" : typeof value);
  into.add(value.constructor.name);
  if (!(value instanceof Uint8Array)) for (const inner of Object.values(value)) kindsIn(inner, into);
  return into;
}

/** The error that `act` throws, or null. */
function errorOf(act: () => void): unknown {
  try {
    act();
    return null;
  } catch (error) {
    return error;
  }
}

describe("a vCPU's state", () => {
  test("that is restored into another vCPU is what that one saves", () => {
    const vcpu = new FakeMachine().vcpu;
    fc.assert(
      fc.property(states, (state) => {
        vcpu.restore(state);
        const saved = vcpu.save();
        expect(saved).toEqual(state);
        const fresh = new FakeMachine().vcpu;
        fresh.restore(saved);
        expect(fresh.save()).toEqual(state);
      }),
      { numRuns: 150 },
    );
  });

  test("is plain data: numbers, strings, booleans, null, byte arrays, arrays and objects", () => {
    const m = new FakeMachine();
    m.vcpu.inject(13, 5);
    const plain = ["Array", "Object", "Uint8Array", "boolean", "null", "number", "string"];
    expect([...kindsIn(m.vcpu.save())].sort()).toEqual(plain);
  });

  test("is a copy: the vCPU changes and it does not, and the other way round", () => {
    const { vcpu } = new FakeMachine();
    const saved = vcpu.save();
    const copy = structuredClone(saved);
    vcpu.xmm.fill(7);
    vcpu.setReg(0, 1, 2);
    expect(saved).toEqual(copy);
    vcpu.restore(saved);
    saved.xmm.fill(9);
    expect(vcpu.save()).toEqual(copy);
  });

  test("after INIT has nothing left of what waited", () => {
    const [used, fresh] = [new FakeMachine(), new FakeMachine()];
    used.vcpu.nmi();
    used.vcpu.inject(13, 5);
    used.vcpu.halt(true);
    for (const { vcpu } of [used, fresh]) vcpu.init();
    expect(used.vcpu.save()).toEqual(fresh.vcpu.save());
  });

  test("counts instructions beyond 2^32", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => {
      for (let k = 0; k < 20; k++) a.nop();
    });
    const retired = 5 * 2 ** 32 + 1;
    m.vcpu.restore({ ...m.vcpu.save(), retired });
    m.vcpu.run(10);
    expect(m.vcpu.save().retired).toBe(retired + 10);
  });

  test("of after reset, and of after INIT, is restored as any other", () => {
    for (const prepare of [(m: FakeMachine) => m.vcpu.reset(), (m: FakeMachine) => m.vcpu.init()]) {
      const [one, two] = [new FakeMachine(), new FakeMachine()];
      prepare(one);
      two.vcpu.restore(one.vcpu.save());
      expect(two.vcpu.save()).toEqual(one.vcpu.save());
    }
  });

  test("is neither given nor taken in the middle of an instruction", () => {
    const m = new FakeMachine();
    m.assemble(CODE, (a) => a.cpuid().hlt());
    const state: VcpuState = m.vcpu.save();
    const errors: unknown[] = [];
    m.vcpu.hooks.cpuid = () => {
      errors.push(
        errorOf(() => m.vcpu.save()),
        errorOf(() => m.vcpu.restore(state)),
      );
    };
    expect(m.go().reason).toBe("hlt");
    for (const error of errors) {
      expect(error).toBeInstanceOf(VcpuStateError);
      expect((error as VcpuStateError).code).toBe("running");
    }
    expect(errors.length).toBe(2);
    expect(m.vcpu.save().activity).toBe("hlt");
  });
});
