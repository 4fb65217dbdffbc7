import { describe, expect, it } from "vitest";
import { allocateTdRam } from "../../src/td/ram.js";

const PAGE = 4096;
const RAM = 16 << 20;
const HIGH = 2 ** 32 - 8 * PAGE;

/** Nobody keeps secure page tables: nothing is mapped. */
const external = {
  linkSpt: () => 0,
  setSpte: () => 0,
  removeSpte: () => 0,
  freeSpt: () => undefined,
  walk: () => 0,
} as unknown as Parameters<typeof allocateTdRam>[0]["external"];

describe("memory of a TD", () => {
  const make = async () => {
    const ram = await allocateTdRam({ cpus: 1, ram: RAM, lockdep: undefined, high: HIGH, external });
    await ram.makePrivate();
    /** Whether the host is kept from a byte. */
    const isPrivate = (gpa: number): boolean => {
      try {
        ram.mmu.read(gpa, new Uint8Array(1));
        return false;
      } catch {
        return true;
      }
    };
    return { ram, isPrivate };
  };

  it("is converted where it is: RAM, and what is below 4 GiB", async () => {
    const { ram, isPrivate } = await make();
    await ram.convert(3 * PAGE, PAGE, false);
    await ram.convert(HIGH + PAGE, PAGE, false);
    const places = [2 * PAGE, 3 * PAGE, 4 * PAGE, RAM - PAGE, HIGH, HIGH + PAGE, HIGH + 2 * PAGE];
    expect(places.map(isPrivate)).toEqual([true, false, true, true, true, false, true]);
  });

  it("is not touched by a conversion of devices, which are shared as they are", async () => {
    const { ram, isPrivate } = await make();
    for (const gpa of [RAM, RAM + PAGE, 0xfec0_0000, HIGH - 2 ** 21]) await ram.convert(gpa, PAGE, false);
    expect([RAM - PAGE, HIGH, HIGH + PAGE].map(isPrivate)).toEqual([true, true, true]);
  });

  it.each([
    ["a device", RAM, PAGE, true],
    ["what begins in RAM and ends behind it", RAM - PAGE, 2 * PAGE, false],
    ["what ends in the memory below 4 GiB and begins before it", HIGH - PAGE, 2 * PAGE, false],
    ["what goes beyond 4 GiB", 2 ** 32 - PAGE, 2 * PAGE, false],
    ["what lies beyond 4 GiB", 2 ** 32, PAGE, false],
    ["everything", 0, 2 ** 33, false],
  ])("is none, private or shared: %s", async (_, gpa, size, toPrivate) => {
    const { ram, isPrivate } = await make();
    await expect(ram.convert(gpa, size, toPrivate)).rejects.toMatchObject({ code: "EINVAL" });
    expect([RAM - PAGE, HIGH, 2 ** 32 - PAGE].map(isPrivate)).toEqual([true, true, true]);
  });
});
