import type { Apt, AptPackage } from "./apt.js";

/** The kernel series whose cloud kernels are fetched. */
export const SERIES = ["6.1", "6.12"] as const;
/** A kernel series: the first two numbers of its release. */
export type Series = (typeof SERIES)[number];

/** The part of apt that finding a kernel needs. */
export type PackageSource = Pick<Apt, "names" | "depends" | "candidate">;

const META_PACKAGE = "linux-image-cloud-amd64";

/** Orders names by the numbers in them: `6.12.9` before `6.12.10`. */
function byNumbers(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/**
 * Finds the signed cloud kernel of a series: the one Debian's meta-package stands for if it is of this series, else the
 * newest apt sees (from -backports or -security). Undefined where there is none.
 */
export async function resolveKernel(apt: PackageSource, series: Series): Promise<AptPackage | undefined> {
  const ofSeries = new RegExp(`^linux-image-${series.replace(".", "\\.")}\\.[0-9].*-cloud-amd64$`);
  const recommended = (await apt.depends(META_PACKAGE)).filter((name) => ofSeries.test(name));
  const others = (await apt.names(`linux-image-${series}.`))
    .filter((name) => ofSeries.test(name))
    .sort(byNumbers)
    .reverse();
  for (const name of [...recommended, ...others]) {
    const candidate = await apt.candidate(name);
    if (candidate !== undefined) return candidate;
  }
  return undefined;
}
