import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { generateInterpreter } from "../src/index.js";

const bytes = generateInterpreter();

test("the interpreter is a valid module that exports `run`, and what regions call", () => {
  const module = new WebAssembly.Module(bytes);
  expect(WebAssembly.Module.exports(module)).toEqual([
    { name: "called", kind: "function" },
    { name: "timestamp", kind: "function" },
    { name: "x87", kind: "table" },
    { name: "run", kind: "function" },
  ]);
  expect(WebAssembly.Module.imports(module).every(({ module: name }) => name === "vm")).toBe(true);
});

test("its bytes are the same every time", () => {
  const digest = (b: Uint8Array): string => createHash("sha256").update(b).digest("hex");
  expect(digest(generateInterpreter())).toBe(digest(bytes));
});

test("it is small enough for V8, which takes it as one function", () => {
  console.log(`interpreter: ${bytes.length} bytes`);
  // V8 refuses functions above 7 654 321 bytes (kV8MaxWasmFunctionSize); the whole module is one function.
  expect(bytes.length).toBeLessThan(7_654_321);
});
