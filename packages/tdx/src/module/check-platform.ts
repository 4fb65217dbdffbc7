import { PAGE_BYTES, PageSize } from "./page-type.js";
import type { PlatformDesc } from "./platform.js";

/** What no TDX module could be loaded on. */
export class PlatformError extends Error {
  override readonly name = "PlatformError";

  constructor(
    /** The field of {@link PlatformDesc} that is wrong. */
    readonly code: keyof PlatformDesc,
    message: string,
  ) {
    super(message);
  }
}

const PAGE = PAGE_BYTES[PageSize.Size4K];
const MAX_PACKAGES = 32;
const MAX_CMRS = 32;
/** Hz; less, and the multiplier of a TD's counter would not fit into 64 bits. */
const MIN_TSC_FREQUENCY = 0x2540c;
const SECRET_BYTES = 32;

const isCount = (value: number, min: number, max: number) => Number.isInteger(value) && value >= min && value <= max;

function checkMemory({ cmrs }: PlatformDesc, hkidShift: number): void {
  if (cmrs.length > MAX_CMRS) throw new PlatformError("cmrs", `${cmrs.length} convertible ranges; at most ${MAX_CMRS}`);
  let from = 0;
  for (const { base, size } of cmrs) {
    const fits = base >= from && size > 0 && base % PAGE === 0 && size % PAGE === 0 && base + size <= 2 ** hkidShift;
    if (!fits)
      throw new PlatformError(
        "cmrs",
        `convertible range at ${base} of ${size} bytes; they are ascending, multiples of ${PAGE}, and end below 2^${hkidShift}`,
      );
    from = base + size;
  }
}

/**
 * Checks that a module can do with a platform.
 * @param hkidShift bits of a physical address below those of the key id
 * @throws {PlatformError}
 */
export function checkPlatform(platform: PlatformDesc, hkidShift: number): void {
  const { packages, processors, privateHkids, maxPhysAddr, secret, tscFrequency } = platform;
  if (!isCount(packages, 1, MAX_PACKAGES))
    throw new PlatformError("packages", `${packages} packages; 1 to ${MAX_PACKAGES}`);
  const used = new Set(processors.map((processor) => processor.package));
  if (used.size !== packages || [...used].some((index) => !isCount(index, 0, packages - 1)))
    throw new PlatformError(
      "processors",
      `processors of packages ${[...used]}; every one of 0 to ${packages - 1} has one`,
    );
  if (!isCount(privateHkids.first, 1, 0xffff) || !isCount(privateHkids.count, 2, 0xffff))
    throw new PlatformError(
      "privateHkids",
      `${privateHkids.count} key ids from ${privateHkids.first}; two or more, from 1`,
    );
  if (!isCount(maxPhysAddr, 40, 52)) throw new PlatformError("maxPhysAddr", `${maxPhysAddr} bits; 40 to 52`);
  if (secret.length !== SECRET_BYTES)
    throw new PlatformError("secret", `a secret of ${secret.length} bytes; it has ${SECRET_BYTES}`);
  if (!(tscFrequency >= MIN_TSC_FREQUENCY))
    throw new PlatformError("tscFrequency", `${tscFrequency} Hz; at least ${MIN_TSC_FREQUENCY}`);
  checkMemory(platform, hkidShift);
}
