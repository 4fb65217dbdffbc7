import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  Access,
  CHUNK_PAGES,
  type FrozenMemory,
  KvmError,
  Licence,
  MemslotError,
  type Mmu,
  Status,
} from "../src/index.js";
import { entriesOf, longMode, map4, newMmu, P, PAGE, RW, translate } from "./fixture.js";

const CHUNK = CHUNK_PAGES * PAGE;
const FLAT = { cr0: 1, cr3Lo: 0, cr3Hi: 0, cr4: 0, efer: 0, pkru: 0 };
const PAGES = 3 * CHUNK_PAGES;

/** A guest that remembers translations, as a TLB does, and is told when they are stale. */
class Guest {
  readonly #mmu: Mmu;
  readonly #tlb = new Map<number, { host: number; licence: number }>();

  constructor(mmu: Mmu) {
    this.#mmu = mmu;
    mmu.onInvalidate(() => this.#tlb.clear());
  }

  write(gpa: number, value: number): void {
    const { arena } = this.#mmu.vm.slots;
    arena.u8[this.#host(gpa, Licence.Write, Access.Write) + (gpa % PAGE)] = value;
  }

  read(gpa: number): number {
    return this.#mmu.vm.slots.arena.u8[this.#host(gpa, Licence.Read, 0) + (gpa % PAGE)] as number;
  }

  #host(gpa: number, licence: number, access: number): number {
    const page = Math.floor(gpa / PAGE);
    const known = this.#tlb.get(page);
    if (known !== undefined && (known.licence & licence) !== 0) return known.host;
    expect(this.#mmu.translate(FLAT, gpa, 0, access)).toBe(Status.Ok);
    const { host, licence: given } = this.#mmu.translation;
    this.#tlb.set(page, { host, licence: given });
    return host;
  }
}

const all = (mmu: Mmu): Uint8Array => {
  const bytes = new Uint8Array(PAGES * PAGE);
  mmu.read(0, bytes);
  return bytes;
};

/** Of every chunk, whether it is said to have something or not. */
function frozenBytes(frozen: FrozenMemory): Uint8Array {
  const bytes = new Uint8Array(PAGES * PAGE);
  for (const chunk of frozen.chunks) bytes.set(frozen.fetchNow(chunk) ?? [], chunk * CHUNK);
  return bytes;
}

/** Where two are different, -1 if nowhere. */
const differs = (a: Uint8Array, b: Uint8Array): number =>
  Buffer.compare(a, b) === 0 ? -1 : a.findIndex((byte, k) => byte !== b[k]);

const place = fc.nat(PAGES * PAGE - 1);
const value = fc.integer({ min: 1, max: 255 });
const step = fc.oneof(
  fc.record({ kind: fc.constantFrom("guest", "host") as fc.Arbitrary<"guest" | "host">, place, value }),
  fc.record({
    kind: fc.constantFrom("read", "freeze", "close", "log") as fc.Arbitrary<"read" | "freeze" | "close" | "log">,
    place,
  }),
);

describe("frozen memory", () => {
  it("stays what it was, whoever writes, however many there are and whenever one is closed", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.boolean(), (steps, dirtyLog) => {
        const mmu = newMmu(0, { arenaPages: PAGES });
        mmu.setMemslot({ slot: 0, gpa: 0, size: PAGES * PAGE, dirtyLog });
        const guest = new Guest(mmu);
        const model = new Uint8Array(PAGES * PAGE);
        const taken: { frozen: FrozenMemory; bytes: Uint8Array }[] = [];
        for (const each of steps) {
          if (each.kind === "guest" || each.kind === "host") {
            model[each.place] = each.value;
            if (each.kind === "guest") guest.write(each.place, each.value);
            else mmu.writeU8(each.place, each.value);
          } else if (each.kind === "read") expect(guest.read(each.place)).toBe(model[each.place]);
          else if (each.kind === "freeze") taken.push({ frozen: mmu.freeze(), bytes: model.slice() });
          else if (each.kind === "close") taken.shift()?.frozen.close();
          else if (dirtyLog) mmu.getDirtyLog(0);
        }
        expect(differs(all(mmu), model)).toBe(-1);
        for (const { frozen, bytes } of taken) expect(differs(frozenBytes(frozen), bytes)).toBe(-1);
      }),
      { numRuns: 150 },
    );
  });

  it("has what page walks write as well", () => {
    const mmu = newMmu(PAGES);
    const linear = 0x1234_5000n;
    map4(mmu, linear, 0x9000n | P | RW);
    const before = all(mmu);
    const frozen = mmu.freeze();
    expect(translate(mmu, longMode(), linear, Access.Write)).toBe(Status.Ok);
    expect(entriesOf(linear).some((gpa) => mmu.readU8(gpa) !== before[gpa])).toBe(true);
    expect(differs(frozenBytes(frozen), before)).toBe(-1);
  });

  it("names the chunks that were touched, and no others; what was touched since is none of them", () => {
    const mmu = newMmu(PAGES);
    mmu.writeU8(CHUNK + 5, 1);
    const frozen = mmu.freeze();
    mmu.writeU8(2 * CHUNK, 9);
    expect(frozen.chunks).toEqual([1]);
    expect(frozen.fetchNow(2)).toEqual(new Uint8Array(CHUNK));
    expect(frozen.memslots).toEqual(mmu.memslots);
  });

  it("has memory that its machine itself waits for, as that comes", async () => {
    const mmu = newMmu(PAGES);
    const arrive: ((bytes: Uint8Array) => void)[] = [];
    mmu.expect({ fetch: () => new Promise((resolve) => void arrive.push(resolve)) }, [0, 2]);
    const frozen = mmu.freeze();
    expect(frozen.chunks).toEqual([0, 2]);
    expect(frozen.fetchNow(2)).toBeNull();
    const coming = frozen.fetch(2);
    arrive[0]?.(new Uint8Array(CHUNK).fill(7));
    expect(await coming).toEqual(new Uint8Array(CHUNK).fill(7));
    mmu.writeU8(2 * CHUNK, 1);
    expect(frozen.fetchNow(2)?.[0]).toBe(7);
  });

  it("costs a guest one miss for each page that it writes, and nothing once it is closed", () => {
    const mmu = newMmu(PAGES);
    const licence = (access: number): number => {
      mmu.translate(FLAT, PAGE, 0, access);
      return mmu.translation.licence;
    };
    expect(licence(0)).toBe(Licence.All);
    const frozen = mmu.freeze();
    expect(licence(0)).toBe(Licence.Read | Licence.Fetch);
    expect([licence(Access.Write), licence(0)]).toEqual([Licence.All, Licence.All]);
    mmu.freeze().close();
    frozen.close();
    mmu.translate(FLAT, 2 * PAGE, 0, 0);
    expect(mmu.translation.licence).toBe(Licence.All);
  });

  it("is closed once and for all; until then its memslots stay where they are", () => {
    const mmu = newMmu(PAGES);
    const frozen = mmu.freeze();
    const size = PAGES * PAGE;
    expect(() => mmu.setMemslot({ slot: 0, gpa: size, size })).toThrow(MemslotError);
    expect(() => mmu.setMemslot({ slot: 0, gpa: 0, size: 0 })).toThrow(/is frozen/);
    frozen.close();
    expect(() => frozen.fetchNow(0)).toThrow(KvmError);
    mmu.setMemslot({ slot: 0, gpa: 0, size: 0 });
  });
});
