import type { VcpuHooks } from "@vm/cpu";
import { expect, it } from "vitest";
import { HookSet } from "../src/hooks.js";

it("a hook nobody observes is absent", () => {
  const hooks: VcpuHooks = {};
  const set = new HookSet(hooks);
  expect("syscall" in hooks).toBe(false);
  const dispose = set.add("syscall", () => undefined);
  expect(hooks.syscall).toBeTypeOf("function");
  dispose();
  dispose();
  expect("syscall" in hooks).toBe(false);
});

it("every observer is called, in the order they came, and one that leaves is not missed by the others", () => {
  const hooks: VcpuHooks = {};
  const set = new HookSet(hooks);
  const seen: string[] = [];
  const first = set.add("cpuid", (leaf) => void seen.push(`a${leaf}`));
  set.add("cpuid", (leaf) => void seen.push(`b${leaf}`));
  hooks.cpuid?.(1, 0);
  first();
  hooks.cpuid?.(2, 0);
  expect(seen).toEqual(["a1", "b1", "b2"]);
});

it("the same function can observe twice and leave once", () => {
  const hooks: VcpuHooks = {};
  const set = new HookSet(hooks);
  let calls = 0;
  const count = (): void => void calls++;
  const first = set.add("hlt", count);
  set.add("hlt", count);
  first();
  hooks.hlt?.();
  expect(calls).toBe(1);
});

it("an effect takes place only if no observer vetoes it, and all are asked", () => {
  const hooks: VcpuHooks = {};
  const set = new HookSet(hooks);
  const seen: string[] = [];
  const veto = set.add("msrWrite", () => {
    seen.push("veto");
    return false;
  });
  set.add("msrWrite", () => {
    seen.push("watch");
    return true;
  });
  expect(hooks.msrWrite?.(0x10, 0n)).toBe(false);
  expect(seen).toEqual(["veto", "watch"]);
  veto();
  expect(hooks.msrWrite?.(0x10, 0n)).toBe(true);
});

it("a hypercall is the first observer's who takes it", () => {
  const hooks: VcpuHooks = {};
  const set = new HookSet(hooks);
  const seen: string[] = [];
  for (const [name, takes] of Object.entries({ a: false, b: true, c: true })) {
    set.add("hypercall", () => {
      seen.push(name);
      return takes;
    });
  }
  expect(hooks.hypercall?.()).toBe(true);
  expect(seen).toEqual(["a", "b"]);
});
