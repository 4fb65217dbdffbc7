import { existsSync, readFileSync } from "node:fs";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, it } from "vitest";
import {
  measureFirmware,
  measureTdImage,
  parseTdHob,
  TdHobError,
  TdImageError,
  TdvfError,
  tdFirmware,
} from "../../src/index.js";
import { firmwareImage, SECTIONS, type SectionSpec } from "../measure/firmware-image.js";
import { putStore } from "./variable-store.js";

const MIB = 2 ** 20;
const RAM = 16 * MIB;
const PAGE = 4096;
const HOB = 0x80_9000;
const [BFV, CFV] = SECTIONS as [SectionSpec, SectionSpec];

/** The small firmware, with a store of variables, and of what sections a test wants. */
const firmware = (sections: readonly SectionSpec[] = SECTIONS): Uint8Array =>
  firmwareImage({ sections, patch: (bytes) => putStore(bytes, 0x800) });
const image = firmware();

const refused = (sections: readonly SectionSpec[], ram = RAM, variables = true): unknown => {
  try {
    tdFirmware({ image: firmware(sections), ram, variables });
    return "nothing thrown";
  } catch (error) {
    if (error instanceof TdImageError || error instanceof TdvfError || error instanceof TdHobError)
      return `${error.name} ${error.code}`;
    return error;
  }
};

describe("a TD that firmware starts", () => {
  it("has the firmware's sections in their order, and below 4 GiB nothing but them", () => {
    const { base, runs, argument } = tdFirmware({ image, ram: RAM });
    expect(runs.map(({ gpa, bytes, measured }) => [gpa, bytes.length, measured])).toEqual([
      [0xffff_d000, 0x3000, true],
      [0xffff_c000, 0x1000, false],
      [0x81_0000, 0x2000, false],
      [HOB, 0x2000, false],
    ]);
    expect([base, argument]).toEqual([0xffff_c000, HOB]);
    expect(runs[0]?.bytes).toEqual(image.slice(0x1000, 0x4000));
    expect(runs[1]?.bytes).toEqual(image.slice(0, 0x1000));
    expect(runs[2]?.bytes).toEqual(new Uint8Array(0x2000));
  });

  it("is told in the TD HOB which memory it has and which it has to accept", () => {
    const { runs } = tdFirmware({ image, ram: RAM });
    expect(parseTdHob(HOB, runs[3]?.bytes as Uint8Array)).toEqual([
      { start: 0, length: HOB, accepted: false },
      { start: HOB, length: 0x2000, accepted: true },
      { start: HOB + 0x2000, length: 0x5000, accepted: false },
      { start: 0x81_0000, length: 0x2000, accepted: true },
      { start: 0x81_2000, length: RAM - 0x81_2000, accepted: false },
    ]);
  });

  it("without a TD HOB is told of none: RCX is 0", () => {
    const { runs, argument } = tdFirmware({ image: firmware([BFV]), ram: RAM });
    expect([runs.length, argument]).toEqual([1, 0]);
  });

  it("has zeros behind a section's bytes, and does not have the pages that it is to accept", () => {
    const sections = [
      { type: 0, offset: 0x1000, raw: 0x1001, gpa: 0xffff_c000, size: 0x4000 },
      { type: 4, gpa: 0x10_0000, size: 8 * MIB, attributes: 2 },
    ];
    const { base, runs } = tdFirmware({ image: firmware(sections), ram: RAM });
    const [run] = runs;
    expect([runs.length, run?.gpa, run?.measured, base]).toEqual([1, 0xffff_c000, false, 0xffff_c000]);
    expect(run?.bytes.subarray(0, 0x1001)).toEqual(firmware(sections).subarray(0x1000, 0x2001));
    expect(run?.bytes.subarray(0x1001)).toEqual(new Uint8Array(0x2fff));
  });

  it("may have a payload that is in the image", () => {
    const payload = { type: 5, offset: 0x1000, raw: 0x1000, gpa: 0x20_0000, size: 0x1000 };
    const { runs } = tdFirmware({ image: firmware([BFV, payload]), ram: RAM });
    expect(runs[1]).toEqual({ gpa: 0x20_0000, bytes: image.slice(0x1000, 0x2000), measured: false });
  });

  it("has up to 64 MiB", () => {
    const sections = [BFV, { type: 3, gpa: 0, size: 64 * MIB - 0x3000 }];
    expect(tdFirmware({ image: firmware(sections), ram: 64 * MIB }).runs.length).toBe(2);
  });

  it("is measured to what the firmware alone says, whatever the memory", async () => {
    const { mrtd } = measureFirmware(image, 1);
    for (const ram of [RAM, 1024 * MIB])
      expect(bytesToHex(await measureTdImage(tdFirmware({ image, ram })))).toBe(bytesToHex(mrtd));
    expect(bytesToHex(measureFirmware(image, 2).mrtd)).not.toBe(bytesToHex(mrtd));
  });

  it("is measured a few pages at a time", async () => {
    const sections = [BFV, { type: 3, gpa: 0, size: 1000 * PAGE }];
    let breaths = 0;
    const breathe = () => void breaths++;
    await measureTdImage(tdFirmware({ image: firmware(sections), ram: RAM }), breathe);
    expect(breaths).toBe(Math.floor(1003 / 64));
  });
});

describe("firmware without its variables", () => {
  it("has them erased, and is otherwise the same", async () => {
    const [with_, without] = [true, false].map((variables) => tdFirmware({ image, ram: RAM, variables }));
    expect(without?.runs[1]?.bytes.slice(0x48 + 28, 0x848)).toEqual(new Uint8Array(0x800 - 28).fill(0xff));
    expect(without?.runs[1]?.bytes.slice(0x848)).toEqual(with_?.runs[1]?.bytes.slice(0x848));
    expect(without?.runs.toSpliced(1, 1)).toEqual(with_?.runs.toSpliced(1, 1));
    expect([without?.base, without?.argument]).toEqual([with_?.base, with_?.argument]);
  });

  it("is measured to the same if they are not measured, else to another", async () => {
    const mrtd = async (sections: readonly SectionSpec[], variables: boolean) =>
      bytesToHex(await measureTdImage(tdFirmware({ image: firmware(sections), ram: RAM, variables })));
    expect(await mrtd(SECTIONS, false)).toBe(await mrtd(SECTIONS, true));
    const measured = [BFV, { ...CFV, attributes: 1 }];
    expect(await mrtd(measured, false)).not.toBe(await mrtd(measured, true));
  });

  it("is refused if it has none, or no store that is known", () => {
    expect(refused([BFV], RAM, false)).toBe("TdImageError range");
    expect(refused([BFV, { ...CFV, offset: 0x1000 }], RAM, false)).toBe("TdImageError range");
    expect(refused([BFV, { ...CFV, offset: 0x1000 }])).toBe("nothing thrown");
  });
});

describe("firmware is refused that", () => {
  it.each([
    ["wants memory that there is not", { type: 3, gpa: RAM, size: PAGE }],
    ["wants memory that ends too early", { type: 3, gpa: RAM - PAGE, size: 2 * PAGE }],
    ["wants memory to accept that there is not", { type: 4, gpa: RAM, size: PAGE, attributes: 2 }],
    ["lies further than 16 MiB below 4 GiB", { type: 3, gpa: 2 ** 32 - 16 * MIB - PAGE, size: PAGE }],
    ["lies beyond 4 GiB", { type: 3, gpa: 2 ** 32, size: PAGE }],
    ["lies at 2^41", { type: 3, gpa: 2 ** 41, size: PAGE }],
    ["wants memory beyond 4 GiB to accept", { type: 4, gpa: 2 ** 32, size: 2 ** 40, attributes: 2 }],
    ["wants a payload of the host's", { type: 5, gpa: 0x10_0000, size: PAGE }],
  ])("%s: range", (_, section) => expect(refused([BFV, section])).toBe("TdImageError range"));

  it.each([
    ["is in memory altogether", { ...BFV, gpa: 0x10_0000 }],
    ["ends a page too early", { ...BFV, gpa: 0xffff_c000 }],
    ["ends beyond 4 GiB", { ...BFV, gpa: 0xffff_e000 }],
  ])("%s, and so has no first instruction: range", (_, section) =>
    expect(refused([section])).toBe("TdImageError range"),
  );

  it("has the page of the first instruction accepted, which nobody could do: range", () => {
    const last = { type: 4, gpa: 0xffff_f000, size: PAGE, attributes: 2 };
    expect(refused([{ ...BFV, gpa: 0xffff_c000 }, last])).toBe("TdImageError range");
  });

  it("wants parameters for a payload, and says what is missing: TdvfError", () => {
    expect(refused([BFV, { type: 6, gpa: 0x10_0000, size: PAGE }])).toBe("TdvfError missing");
  });

  it("wants more than 64 MiB added: too-many", () => {
    const section = { type: 3, gpa: 0, size: 64 * MIB };
    expect(refused([BFV, section], 64 * MIB)).toBe("TdImageError too-many");
    expect(refused([BFV, { ...section, size: 3072 * MIB }], 3072 * MIB)).toBe("TdImageError too-many");
  });

  it("has no room for the list of its memory: TdHobError", () => {
    const many = Array.from({ length: 60 }, (_, k) => ({ type: 3, gpa: 2 * k * PAGE, size: PAGE }));
    expect(refused([BFV, ...many, { type: 2, gpa: 0x80_0000, size: PAGE }])).toBe("TdHobError full");
  });

  it("is none: TdvfError", () => {
    for (const bytes of [new Uint8Array(0), new Uint8Array(PAGE)])
      expect(() => tdFirmware({ image: bytes, ram: RAM })).toThrow(TdvfError);
  });

  it.each([0, -PAGE, 100, NaN, 2 ** 32 - 16 * MIB + PAGE])("is to have %s bytes of memory: range", (ram) =>
    expect(refused(SECTIONS, ram)).toBe("TdImageError range"),
  );
});

const DEBIAN = process.env.VM_TDX_FIRMWARE ?? "/usr/share/ovmf/OVMF.inteltdx.ms.fd";
const IS_THERE = existsSync(DEBIAN);

describe.skipIf(!IS_THERE)(`Debian's firmware${IS_THERE ? "" : " (skipped: absent)"}`, () => {
  const bytes = IS_THERE ? Uint8Array.from(readFileSync(DEBIAN)) : new Uint8Array(0);

  it("is measured to the same with its variables and without, and to what it says itself", async () => {
    const { mrtd } = measureFirmware(bytes);
    for (const variables of [true, false])
      expect(bytesToHex(await measureTdImage(tdFirmware({ image: bytes, ram: 512 * MIB, variables })))).toBe(
        bytesToHex(mrtd),
      );
  });

  it("has variables, which are not there when they are erased", () => {
    const runs = [true, false].map((variables) => tdFirmware({ image: bytes, ram: 512 * MIB, variables }).runs);
    const changed = runs[0]?.filter(
      ({ bytes: before }, k) => Buffer.compare(before, runs[1]?.[k]?.bytes ?? before) !== 0,
    );
    expect(changed?.map(({ measured }) => measured)).toEqual([false]);
  });
});
