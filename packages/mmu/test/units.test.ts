import { expectTypeOf, it } from "vitest";
import type { Gfn, Gpa, Mmu } from "../src/index.js";

it("an address, a frame number and a linear address are not taken for one another; a plain number is taken for the first two", () => {
  expectTypeOf<Gpa>().not.toExtend<Gfn>();
  expectTypeOf<Gfn>().not.toExtend<Gpa>();
  expectTypeOf<bigint>().not.toExtend<Gpa>();
  expectTypeOf<number>().toExtend<Gpa>();
  expectTypeOf<number>().toExtend<Gfn>();
  expectTypeOf<Parameters<Mmu["withhold"]>[0]>().toEqualTypeOf<Gfn>();
  expectTypeOf<Parameters<Mmu["read"]>[0]>().toEqualTypeOf<Gpa>();
});
