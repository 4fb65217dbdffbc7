import { markTypes } from "@vm/presets/declarations";
import { expect, it } from "vitest";
import { checkApi, writeReports } from "../src/index.js";
import { samplePackage } from "./packages.js";

/** What the check says of a package, its report being up to date. */
async function complaints(types: string, code: string): Promise<string[]> {
  const folder = samplePackage(types, code);
  writeReports([folder]);
  return await checkApi([folder]);
}

const BUNDLED = "declare class Machine {}\ndeclare function boot(): Machine;\nexport { Machine, boot };\n";
const CODE = "export function boot() {}\n";

it("a class that the declarations export as a value and the code does not export at all is named", async () => {
  expect(await complaints(BUNDLED, CODE)).toEqual([
    "@t/sample: its declarations export the value Machine, its code does not",
  ]);
});

it("a value that only the code exports is named", async () => {
  expect(await complaints("export declare const a: 1;\n", "export const a = 1, b = 2;\n")).toEqual([
    "@t/sample: its code exports b, its declarations do not export such a value",
  ]);
});

it("a value whose declaration is a type only is named", async () => {
  expect(await complaints("declare class A {}\nexport { type A };\n", "export class A {}\n")).toEqual([
    "@t/sample: its code exports A, its declarations do not export such a value",
  ]);
});

it("interfaces, type aliases and classes exported as types are no values; enums, namespaces and consts are", async () => {
  const types = `export interface I {}
export type T = 1;
export declare enum E { A }
export declare namespace N { const x: 1; }
export declare namespace Types { type X = 1; }
declare class C {}
export type { C };
export declare const c: 1;
`;
  expect(await complaints(types, "export const E = {}, N = {}, c = 1;\n")).toEqual([]);
});

it("the build marks as types the names that the code does not export", async () => {
  const marked = markTypes(BUNDLED, new Set(["boot"]));
  expect(marked).toContain("export { type Machine, boot };");
  expect(await complaints(marked, CODE)).toEqual([]);
});

it("marks re-exports and renamed exports, and leaves what is marked already", () => {
  const text = 'export { A, type B, C as D } from "x";\nexport type { E };\nexport * from "y";\n';
  expect(markTypes(text, new Set(["A"]))).toBe(
    'export { A, type B, type C as D } from "x";\nexport type { E };\nexport * from "y";\n',
  );
});

it("a class of errors without a code is named, an abstract one with its code and what is no error are not", async () => {
  const types = `export declare class Plain extends Error { readonly name = "Plain"; }
export declare class Inherited extends Plain {}
export declare abstract class Base extends RangeError { abstract readonly code: "a" | "b"; }
export declare class Coded extends Base { readonly code = "a"; }
export declare class Other {}
`;
  const code = ["Plain", "Inherited", "Base", "Coded", "Other"].map((name) => `export class ${name} {}\n`).join("");
  expect(await complaints(types, code)).toEqual([
    "@t/sample: errors of Plain have no code to tell them apart by",
    "@t/sample: errors of Inherited have no code to tell them apart by",
  ]);
});
