import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { bytesToHex } from "@noble/hashes/utils.js";
import { describe, expect, test } from "vitest";
import { measureFirmware, TdvfError } from "../../src/index.js";
import { dataText, HAS_DATA, WITHOUT_DATA } from "../data.js";
import { firmwareImage, SECTIONS } from "./firmware-image.js";

/** Lists what is done to a TD's memory, and hashes it with Node: `add` an address, or `extend` an address by 256 bytes. */
class Script {
  readonly #hash = createHash("sha384");

  add(gpa: number): void {
    this.#block("MEM.PAGE.ADD", gpa);
  }

  extend(gpa: number, page: Uint8Array): void {
    for (let at = 0; at < 4096; at += 256) {
      this.#block("MR.EXTEND", gpa + at);
      this.#hash.update(page.subarray(at, at + 256));
    }
  }

  get digest(): string {
    return this.#hash.digest("hex");
  }

  #block(name: string, gpa: number): void {
    const bytes = Buffer.alloc(128);
    bytes.write(name, 0, "ascii");
    bytes.writeBigUInt64LE(BigInt(gpa), 16);
    this.#hash.update(bytes);
  }
}

const IMAGE = firmwareImage({ sections: SECTIONS });
const page = (offset: number) => IMAGE.subarray(offset, offset + 4096);
const REST = [0xffff_c000, 0x81_0000, 0x81_1000, 0x80_9000, 0x80_a000];

describe("firmware", () => {
  test("is measured section by section, each page added and measured before the next", () => {
    const script = new Script();
    for (let k = 0; k < 3; k++) {
      script.add(0xffff_d000 + k * 4096);
      script.extend(0xffff_d000 + k * 4096, page(0x1000 + k * 4096));
    }
    for (const gpa of REST) script.add(gpa);
    expect(bytesToHex(measureFirmware(IMAGE).mrtd)).toBe(script.digest);
  });

  test("is measured in two passes, the pages of a section all added before they are measured", () => {
    const script = new Script();
    for (let k = 0; k < 3; k++) script.add(0xffff_d000 + k * 4096);
    for (let k = 0; k < 3; k++) script.extend(0xffff_d000 + k * 4096, page(0x1000 + k * 4096));
    for (const gpa of REST) script.add(gpa);
    expect(bytesToHex(measureFirmware(IMAGE, 2).mrtd)).toBe(script.digest);
  });

  test("is measured with zeros behind its bytes, and without the pages that are not added", () => {
    const sections = [
      { type: 4, gpa: 0x1000, size: 2 ** 40, attributes: 2 },
      { type: 0, offset: 0x1000, raw: 0x2080, gpa: 2 ** 41, size: 0x4000, attributes: 1 },
    ];
    const image = firmwareImage({ sections });
    const memory = new Uint8Array(0x4000);
    memory.set(image.subarray(0x1000, 0x3080));
    const script = new Script();
    for (let at = 0; at < 0x4000; at += 4096) {
      script.add(2 ** 41 + at);
      script.extend(2 ** 41 + at, memory.subarray(at));
    }
    const { mrtd, sections: measured } = measureFirmware(image);
    expect(bytesToHex(mrtd)).toBe(script.digest);
    expect(measured.map(({ added, extended }) => [added, extended])).toEqual([
      [0, 0],
      [4, 4],
    ]);
  });

  test.each([
    ["the list of memory", { type: 2, gpa: 0x1000, size: 0x1000, attributes: 1 }],
    ["a payload that is not in the image", { type: 5, gpa: 0x1000, size: 0x1000, attributes: 1 }],
  ])("has no measurement of its own if %s counts", (_name, section) => {
    const image = firmwareImage({ sections: [...SECTIONS.slice(0, 3), section] });
    expect(() => measureFirmware(image)).toThrow("so the image alone does not say what MRTD will be");
  });

  test.each([
    ["adds no more than 1 GiB", 2 ** 30, 0, "262152 pages are added; up to 262144 are possible"],
    ["measures no more than 64 MiB", 2 ** 26, 1, "16387 pages are measured; up to 16384 are possible"],
  ])("%s", (_name, size, attributes, words) => {
    const sections = [...SECTIONS, { type: 3, gpa: 2 ** 32, size, attributes }];
    expect(() => measureFirmware(firmwareImage({ sections }))).toThrow(words);
    expect(() => measureFirmware(firmwareImage({ sections }))).toThrow(TdvfError);
  });
});

const INTEL_TDX = process.env.VM_TDX_FIRMWARE ?? "/usr/share/ovmf/OVMF.inteltdx.ms.fd";
const OVMF = "/usr/share/ovmf/OVMF.fd";

/** Whether the file is there, and is the one that the figures are of. */
function isThere(file: string, sha256: string | undefined): boolean {
  return existsSync(file) && createHash("sha256").update(readFileSync(file)).digest("hex") === sha256;
}

describe.skipIf(!HAS_DATA)(`Debian's firmware${WITHOUT_DATA}`, () => {
  const expected: Record<string, string> = HAS_DATA ? JSON.parse(dataText("debian-ovmf/expected.json")) : {};
  const there = isThere(INTEL_TDX, expected.sha256);
  const absence = there ? "" : " (skipped: absent, or another)";
  test.skipIf(!there)(`OVMF.inteltdx.ms.fd of the package ovmf-inteltdx, or VM_TDX_FIRMWARE${absence}`, () => {
    const image = readFileSync(INTEL_TDX);
    expect(bytesToHex(measureFirmware(image, 1).mrtd)).toBe(expected.mrtd_single_pass);
    expect(bytesToHex(measureFirmware(image, 2).mrtd)).toBe(expected.mrtd_two_pass);
  });
});

// 2022.11-6+deb12u2; the figure is what TD-Shim's td_shim_tee_info_hash.py prints for it.
const OVMF_SHA256 = "7b456907dd0786d415999e801a1ac4637b8ed4d7cf5378cfc6edbe5e574dd773";
const OVMF_MRTD = "4c7206f0f483c524f12c366c711e9049030a8d47c471ee5aa9c4999a08de4057fb887fed0744d5631a212967fb231c47";
const OVMF_THERE = isThere(OVMF, OVMF_SHA256);
test.skipIf(!OVMF_THERE)(
  `OVMF.fd of Debian 12's package ovmf${OVMF_THERE ? "" : " (skipped: absent, or another)"}`,
  () => {
    expect(bytesToHex(measureFirmware(readFileSync(OVMF)).mrtd)).toBe(OVMF_MRTD);
  },
);
