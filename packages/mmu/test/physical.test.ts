import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { newMmu, PAGE } from "./fixture.js";

describe("physical access", () => {
  test("scalars are little-endian at any alignment, also across pages that are not neighbours in the arena", () => {
    const mmu = newMmu(8);
    mmu.frameOf(2);
    mmu.frameOf(5);
    mmu.frameOf(1);
    for (let gpa = 2 * PAGE - 5; gpa < 2 * PAGE + 2; gpa++) {
      expect(mmu.writeU32(gpa, 0x89abcdef)).toBe(true);
      expect(mmu.readU32(gpa)).toBe(0x89abcdef);
      expect([0, 1, 2, 3].map((i) => mmu.readU8(gpa + i))).toEqual([0xef, 0xcd, 0xab, 0x89]);
      expect(mmu.writeU16(gpa, 0xfffe1234)).toBe(true);
      expect(mmu.readU16(gpa)).toBe(0x1234);
      expect(mmu.readU16(gpa + 2)).toBe(0x89ab);
    }
  });

  test("an access of which any byte is unbacked does nothing: false, or all ones", () => {
    const mmu = newMmu(2);
    const end = 2 * PAGE;
    const bytes = Uint8Array.of(1, 2, 3);
    expect(mmu.read(end - 2, bytes)).toBe(false);
    expect(bytes).toEqual(Uint8Array.of(1, 2, 3));
    expect(mmu.write(end - 2, bytes)).toBe(false);
    expect(mmu.writeU32(end - 3, 0x11111111)).toBe(false);
    expect(mmu.writeU16(end - 1, 0x1111)).toBe(false);
    expect(mmu.writeU8(end, 0x11)).toBe(false);
    expect(mmu.readU32(end - 4)).toBe(0);
    expect([mmu.readU32(end - 3), mmu.readU16(end - 1), mmu.readU8(end)]).toEqual([0xffffffff, 0xffff, 0xff]);
  });

  test("an access may span memslots that touch, not a hole", () => {
    const mmu = newMmu(0, { arenaPages: 8 });
    mmu.setMemslot({ slot: 0, gpa: 0, size: PAGE });
    mmu.setMemslot({ slot: 1, gpa: PAGE, size: PAGE });
    mmu.setMemslot({ slot: 2, gpa: 3 * PAGE, size: PAGE });
    expect(mmu.write(PAGE - 10, new Uint8Array(20).fill(7))).toBe(true);
    expect(mmu.backed(0, 2 * PAGE)).toBe(true);
    expect(mmu.backed(PAGE, 3 * PAGE)).toBe(false);
    expect(mmu.write(0, new Uint8Array(4 * PAGE))).toBe(false);
    expect(mmu.readU8(PAGE)).toBe(7);
  });

  test("every page that the host writes is announced after it was written, until the listener ends", () => {
    const mmu = newMmu(4);
    const seen: [number, number][] = [];
    const stop = mmu.onHostWrite((gfn) => seen.push([gfn, mmu.readU8(gfn * PAGE + 4095)]));
    mmu.write(PAGE - 1, new Uint8Array(PAGE + 2).fill(9));
    expect(seen).toEqual([
      [0, 9],
      [1, 9],
      [2, 0],
    ]);
    mmu.writeU8(3 * PAGE, 1);
    mmu.writeU32(4 * PAGE, 1);
    expect(seen).toHaveLength(4);
    stop();
    mmu.writeU8(0, 1);
    expect(seen).toHaveLength(4);
  });

  test("a listener may end itself, and the others are still called", () => {
    const mmu = newMmu(1);
    const calls: string[] = [];
    const stop = mmu.onHostWrite(() => {
      calls.push("once");
      stop();
    });
    mmu.onHostWrite(() => calls.push("always"));
    mmu.writeU8(0, 1);
    mmu.writeU8(0, 1);
    expect(calls).toEqual(["once", "always", "always"]);
  });
});

test("any sequence of reads and writes behaves like one flat array", () => {
  const SIZE = 6 * PAGE;
  // Near the page boundaries, where things can go wrong.
  const gpa = fc
    .tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: -6, max: 6 }))
    .map(([page, delta]) => Math.max(0, page * PAGE + delta));
  const operation = fc.oneof(
    fc.record({ kind: fc.constant("bytes" as const), gpa, data: fc.uint8Array({ maxLength: 9000 }) }),
    fc.record({
      kind: fc.constantFrom("u8" as const, "u16" as const, "u32" as const),
      gpa,
      value: fc.integer({ min: 0, max: 0xffffffff }),
    }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 20 }), (operations) => {
      const mmu = newMmu(6);
      const flat = new Uint8Array(SIZE);
      const view = new DataView(flat.buffer);
      for (const op of operations) {
        const size = op.kind === "bytes" ? op.data.length : op.kind === "u8" ? 1 : op.kind === "u16" ? 2 : 4;
        const fits = op.gpa + size <= SIZE;
        if (op.kind === "bytes") {
          // An empty access touches nothing, so nothing has to be there.
          expect(mmu.write(op.gpa, op.data)).toBe(fits || size === 0);
          if (fits) flat.set(op.data, op.gpa);
          const back = new Uint8Array(size);
          expect(mmu.read(op.gpa, back)).toBe(fits || size === 0);
          if (fits) expect(Buffer.compare(back, op.data)).toBe(0);
        } else if (op.kind === "u8") {
          expect(mmu.writeU8(op.gpa, op.value)).toBe(fits);
          if (fits) view.setUint8(op.gpa, op.value);
          expect(mmu.readU8(op.gpa)).toBe(fits ? view.getUint8(op.gpa) : 0xff);
        } else if (op.kind === "u16") {
          expect(mmu.writeU16(op.gpa, op.value)).toBe(fits);
          if (fits) view.setUint16(op.gpa, op.value, true);
          expect(mmu.readU16(op.gpa)).toBe(fits ? view.getUint16(op.gpa, true) : 0xffff);
        } else {
          expect(mmu.writeU32(op.gpa, op.value)).toBe(fits);
          if (fits) view.setUint32(op.gpa, op.value, true);
          expect(mmu.readU32(op.gpa)).toBe(fits ? view.getUint32(op.gpa, true) : 0xffffffff);
        }
      }
      const all = new Uint8Array(SIZE);
      expect(mmu.read(0, all)).toBe(true);
      expect(Buffer.compare(all, flat)).toBe(0);
    }),
    { numRuns: 300 },
  );
});
