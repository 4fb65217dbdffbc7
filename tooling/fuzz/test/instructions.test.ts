import type { Vcpu } from "@vm/cpu";
import { describe, expect, it } from "vitest";
import { check } from "../src/instructions/check.js";
import { hash } from "../src/instructions/digest.js";
import { imageOf } from "../src/instructions/image.js";
import { guards } from "../src/instructions/layout.js";
import { planOf } from "../src/instructions/plan.js";
import { World } from "../src/instructions/world.js";

const CASES = 120;

describe("random instruction streams", () => {
  const checked = Array.from({ length: CASES }, (_, seed) => check(seed));

  it("throw nothing on the host, stay in guest memory, and do the same twice and in any slices", () => {
    expect(checked.flatMap(({ failure }) => (failure === null ? [] : [failure]))).toEqual([]);
  });

  it("begin in every mode at both privileges, and get somewhere", () => {
    const modes = new Set(checked.map(({ mode }) => mode.replace(/, [^,]*paging$/, "")));
    for (const mode of [
      "real, 16-bit code, CPL 0",
      "protected, 32-bit code, CPL 0",
      "protected, 32-bit code, CPL 3",
      "64-bit, 64-bit code, CPL 0",
      "64-bit, 64-bit code, CPL 3",
    ])
      expect(modes).toContain(mode);
    expect([...modes].some((mode) => mode.startsWith("compatibility"))).toBe(true);
    expect(checked.reduce((sum, { retired }) => sum + retired, 0)).toBeGreaterThan(200 * CASES);
    expect(checked.reduce((sum, { events }) => sum + events, 0)).toBeGreaterThan(20 * CASES);
    expect(new Set(checked.map(({ exit }) => exit)).size).toBeGreaterThan(2);
  });
});

/** A seed whose run is also cut into slices, and one with events. */
const DIVISIBLE = seedWith((divisible, retired) => divisible && retired > 100);
const WITH_EVENTS = seedWith((divisible) => !divisible);

function seedWith(wanted: (divisible: boolean, retired: number) => boolean): number {
  for (let seed = 1000; ; seed++) {
    const { failure, retired } = check(seed);
    if (failure === null && wanted(planOf(seed).divisible, retired)) return seed;
  }
}

describe("the check notices", () => {
  const first = (world: World): Vcpu => world.vcpus[0] as Vcpu;
  const violation = (seed: number, tamper: (world: World, made: number) => void): string | undefined => {
    let made = 0;
    return check(seed, (image, cpus) => {
      const world = new World(image, cpus);
      tamper(world, made++);
      return world;
    }).failure?.violation;
  };

  it("nothing where nothing is wrong", () => {
    expect(violation(DIVISIBLE, () => undefined)).toBeUndefined();
    expect(violation(WITH_EVENTS, () => undefined)).toBeUndefined();
  });

  it("an exception of the host", () => {
    const broken = (): never => {
      throw new TypeError("broken");
    };
    expect(violation(WITH_EVENTS, (world) => Object.assign(first(world), { run: broken }))).toBe("host exception");
  });

  it.each(guards.map((_, k) => k))("a write to guard %i", (k) => {
    const [from] = guards[k] as readonly [number, number];
    const byte = (world: World): Uint8Array => new Uint8Array(world.frames.buffer, from + 7, 1);
    expect(violation(DIVISIBLE, (world) => byte(world).fill(0))).toBe("guard");
  });

  it("that the second run differs", () => {
    expect(violation(WITH_EVENTS, (world, made) => world.hostWrite(0xbfffc, made))).toBe("not repeatable");
  });

  it("that the run with regions differs", () => {
    const differently = (world: World, made: number): void => world.hostWrite(0xbfffc, made >> 1);
    expect(violation(WITH_EVENTS, differently)).toBe("depends on the engine");
  });

  it("that slices differ", () => {
    const differently = (world: World, made: number): void => world.hostWrite(0xbfffc, made === 3 ? 1 : 0);
    expect(violation(DIVISIBLE, differently)).toBe("depends on slices");
  });
});

describe("an image", () => {
  it("is a function of the seed", () => {
    const [a, b, other] = [imageOf(7), imageOf(7), imageOf(8)];
    expect([hash(a.low), hash(a.upper), a.mode]).toEqual([hash(b.low), hash(b.upper), b.mode]);
    expect(hash(a.low)).not.toBe(hash(other.low));
  });
});
