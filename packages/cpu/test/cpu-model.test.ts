import { describe, expect, test } from "vitest";
import { CpuidTable, DEFAULT_CPUID } from "../src/index.js";

/** Models of family 6 whose processors never had AVX: the Atom lines from Bonnell to Tremont (SDM vol. 4, table 2-1). */
const WITHOUT_AVX = [
  0x1c, 0x26, 0x27, 0x35, 0x36, 0x37, 0x4a, 0x4c, 0x4d, 0x5a, 0x5c, 0x5d, 0x5f, 0x75, 0x7a, 0x86, 0x8a, 0x96, 0x9c,
];

const table = new CpuidTable(DEFAULT_CPUID);
const { eax, ecx } = table.query(1, 0);
const family = ((eax >> 8) & 0xf) + ((eax >> 20) & 0xff);
const model = ((eax >> 4) & 0xf) | ((eax >> 12) & 0xf0);

describe("the model in CPUID leaf 1", () => {
  test("is one that never had AVX, as long as AVX is not offered: programs go by the model alone", () => {
    expect((ecx >>> 28) & 1).toBe(0);
    expect(family).toBe(6);
    expect(WITHOUT_AVX).toContain(model);
  });

  test("implies nothing that is not offered: Goldmont's additions to SSE4.2", () => {
    const seven = table.query(7, 0);
    const state = table.query(0xd, 1);
    // PCLMULQDQ SSSE3 CX16 SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE RDRAND.
    for (const bit of [1, 9, 13, 19, 20, 22, 23, 25, 26, 30]) expect((ecx >>> bit) & 1, `leaf 1 ECX.${bit}`).toBe(1);
    // FSGSBASE SMEP ERMS RDSEED SMAP CLFLUSHOPT SHA.
    for (const bit of [0, 7, 9, 18, 20, 23, 29]) expect((seven.ebx >>> bit) & 1, `leaf 7 EBX.${bit}`).toBe(1);
    // XSAVEOPT XSAVEC XGETBV(1) XSAVES.
    expect(state.eax & 15).toBe(15);
    // LAHF, PREFETCHW.
    expect(table.query(0x80000001, 0).ecx & 0x101).toBe(0x101);
  });
});
