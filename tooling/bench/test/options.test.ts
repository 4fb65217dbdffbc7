import { expect, it } from "vitest";
import { BENCHMARKS, onlyInBrowser, onlyKernels, onlyPrograms, parseOptions } from "../src/options.js";

it("runs all benchmarks unless some are named", () => {
  expect(parseOptions([]).names).toEqual(BENCHMARKS);
  expect(parseOptions(["kernels", "--engine", "jit", "--only", "fp,u64", "--json", "-"])).toMatchObject({
    names: ["kernels"],
    engine: "jit",
    only: ["fp", "u64"],
    json: "-",
  });
});

it("says what it would accept", () => {
  expect(() => parseOptions(["kernel"])).toThrow(/^benchmark kernel: want .*kernels/);
  expect(() => parseOptions(["--engine", "turbo"])).toThrow("--engine turbo: want interpreter or jit or auto");
  expect(() => parseOptions(["--scale", "0.5"])).toThrow("--scale 0.5: want a whole number from 1");
  expect(onlyPrograms(["login", "gcc"])).toEqual(["login", "gcc"]);
  expect(() => onlyPrograms(["emacs"])).toThrow(/--only emacs: want boot or login or ash/);
  expect(() => onlyKernels(["seive"])).toThrow(/--only seive: want .*sieve/);
});

it("takes kernels, the boot and the stalls of the browser apart", () => {
  expect(onlyInBrowser(undefined)).toEqual({ kernels: undefined, boot: true, stalls: true });
  expect(onlyInBrowser(["fp", "boot"])).toEqual({ kernels: ["fp"], boot: true, stalls: false });
  expect(() => onlyInBrowser(["login"])).toThrow(/--only login: want .*sieve.* or boot or stalls/);
});
