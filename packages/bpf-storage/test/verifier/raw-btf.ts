import type { BtfMember, BtfParam, BtfShape, VerifierBtf } from "../../src/verifier/btf-port.js";
import { type TestType, testBtf } from "./selftest-btf.js";

/** Kinds of types of BTF (linux/btf.h). */
const Kind = { int: 1, ptr: 2, array: 3, struct: 4, union: 5, enum: 6, func: 12, proto: 13 } as const;

/** Types that a case of test_verifier brings as raw words; the kinds that those cases use. */
export const rawBtf = (words: readonly number[], strings: Uint8Array): VerifierBtf => {
  const text = (at: number): string => {
    let end = at;
    while (end < strings.length && strings[end] !== 0) end++;
    return new TextDecoder().decode(strings.subarray(at, end));
  };
  const types: TestType[] = [];
  for (let at = 0; at < words.length; ) {
    const name = text(words[at] ?? 0);
    const info = words[at + 1] ?? 0;
    const sizeOrType = words[at + 2] ?? 0;
    at += 3;
    const count = info & 0xffff;
    const members: BtfMember[] = [];
    const params: BtfParam[] = [];
    let shape: BtfShape = { kind: "other" };
    let returns = 0;
    switch ((info >> 24) & 0x1f) {
      case Kind.int:
        at++;
        shape = { kind: "int", size: sizeOrType, signed: true };
        break;
      case Kind.ptr:
        shape = { kind: "pointer", to: sizeOrType, tags: [] };
        break;
      case Kind.array:
        shape = { kind: "array", of: words[at] ?? 0, count: words[at + 2] ?? 0 };
        at += 3;
        break;
      case Kind.struct:
      case Kind.union:
        shape = { kind: "struct", name, size: sizeOrType };
        for (let k = 0; k < count; k++, at += 3)
          members.push({
            name: text(words[at] ?? 0),
            type: words[at + 1] ?? 0,
            bitOffset: words[at + 2] ?? 0,
            bitSize: 0,
          });
        break;
      case Kind.enum:
        shape = { kind: "enum", size: sizeOrType };
        at += 2 * count;
        break;
      case Kind.func:
        shape = { kind: "func", name, proto: sizeOrType, linkage: count === 1 ? "global" : "static" };
        break;
      case Kind.proto:
        shape = { kind: "proto" };
        returns = sizeOrType;
        for (let k = 0; k < count; k++, at += 2) params.push({ name: text(words[at] ?? 0), type: words[at + 1] ?? 0 });
        break;
    }
    types.push({ shape, members, params, returns });
  }
  return testBtf(types);
};
