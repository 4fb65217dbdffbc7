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

it("leaves a file alone that mentions none", () => {
  const text = "export declare const a: Uint8Array;\n";
  expect(declareHostTypes(text)).toBe(text);
});
