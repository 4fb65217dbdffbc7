import { declareHostTypes } from "@vm/presets/declarations";
import { expect, it } from "vitest";

it("declares the global types a file mentions, and no other", () => {
  const text = `export declare class A {
    constructor(memory: WebAssembly.Memory, signal?: AbortSignal);
    readonly text: string; // a ReadableStream
}
`;
  expect(declareHostTypes(text)).toBe(`${text}
declare global {
    interface AbortSignal {}
    namespace WebAssembly { interface Memory {} }
}
`);
});

it("refers to the library of what is to be disposed of", () => {
  const text = "export interface A extends AsyncDisposable {}\n";
  expect(declareHostTypes(text)).toBe(`/// <reference lib="esnext.disposable" />\n${text}`);
});

it("leaves a file alone that mentions none", () => {
  const text = "export declare const a: Uint8Array;\n";
  expect(declareHostTypes(text)).toBe(text);
});
