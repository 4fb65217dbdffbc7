import { measureFirmware, parseTdvf, TdvfError } from "@vm/tdx";
import { putStore } from "../../../../packages/tdx/test/boot/variable-store.js";
import { firmwareImage, SECTIONS, type SectionSpec } from "../../../../packages/tdx/test/measure/firmware-image.js";
import { type Door, Violation } from "../door.js";
import { Random } from "../random.js";
import { spoilt } from "../tdx/spoil.js";
import { buildTd, eraseVariables } from "./firmware-td.js";

const PAGE = 4096;
const TYPES = 9;
/** Sections that are many times larger than an image come seldom: what is added is measured. */
const PAGES = 64;
const MANY_PAGES = 2 ** 18;
const MANY = 2;
/** Pages that are measured a second time. */
const FEW = 2000;

/** Firmware images that say themselves what of them is measured, and where they go in a TD. */
export const tdFirmware: Door = {
  name: "td-firmware",
  summary: "firmware images for TDs, with metadata of any kind",
  // A measurement of what the metadata asks for, up to 1 GiB, in one go.
  computes: true,
  check: async (seed, opened) => {
    const random = new Random(seed);
    const size = 0x4000 + PAGE * random.below(16);
    const sections = random.chance(40)
      ? SECTIONS
      : Array.from({ length: random.below(12) }, () => section(random, size));
    const store = random.below(random.chance(90) ? PAGE : 2 ** 32);
    const place = random.pick(["table", "pointer"] as const);
    const whole = firmwareImage({ size, sections, place, patch: (bytes) => putStore(bytes, store) });
    const image = random.chance(60) ? spoilt(random, damagedAtEnd(random, whole)) : whole;
    const volume = whole.subarray(0, random.below(size));
    opened();
    const measured = measure(image);
    const td = await buildTd(random, image, measured.mrtd);
    const variables = eraseVariables(random.chance(50) ? spoilt(random, volume) : volume);
    return { kinds: { image: measured.outcome, td, variables }, sums: { "pages measured": measured.pages } };
  },
};

interface Measured {
  /** Or why it was refused. */
  readonly outcome: string;
  readonly pages: number;
  readonly mrtd?: Uint8Array;
}

function measure(image: Uint8Array): Measured {
  try {
    parseTdvf(image);
    const { mrtd, sections } = measureFirmware(image);
    const pages = sections.reduce((sum, { extended }) => sum + extended, 0);
    if (pages <= FEW) {
      // With a page at most in each section there is no other order.
      const differs = measureFirmware(image, 2).mrtd.join() !== mrtd.join();
      if (differs && sections.every(({ added }) => added <= 1))
        throw new Violation("measurement", "one page a section, and another MRTD in two passes");
    }
    return { outcome: "measured", pages, mrtd };
  } catch (error) {
    if (!(error instanceof TdvfError)) throw error;
    return { outcome: error.code, pages: 0 };
  }
}

function section(random: Random, size: number): SectionSpec {
  const pages = random.below(random.chance(MANY) ? MANY_PAGES : PAGES);
  const anywhere = random.chance(20);
  return {
    type: random.below(TYPES),
    offset: anywhere ? random.word() : PAGE * random.below(size / PAGE),
    raw: anywhere ? random.below(size) : PAGE * random.below(4),
    gpa: random.chance(10) ? BigInt(random.word()) << 21n : PAGE * random.below(2 ** 20),
    size: random.chance(10) ? random.word() : PAGE * pages,
    attributes: random.below(random.chance(80) ? 4 : 2 ** 32),
  };
}

/** Damage where the metadata and the table are. */
function damagedAtEnd(random: Random, image: Uint8Array): Uint8Array {
  if (random.chance(30)) return image;
  const end = image.length - 0x400;
  const copy = image.slice();
  copy.set(spoilt(random, image.subarray(end)).subarray(0, 0x400), end);
  return copy;
}
