import type { Pulse } from "./protocol.js";

/** Million instructions a second, to three digits. */
const rate = (mips: number): string => (mips >= 100 ? mips.toFixed(0) : mips >= 10 ? mips.toFixed(1) : mips.toFixed(2));

/** Bytes, for people. */
export function size(bytes: number): string {
  const mib = bytes / 2 ** 20;
  if (mib >= 1024) return `${Number((mib / 1024).toFixed(1))} GiB`;
  return mib >= 10 || Number.isInteger(mib) ? `${Math.round(mib)} MiB` : `${mib.toFixed(1)} MiB`;
}

/** What is shown of a second. */
export function figures({ mips, touched }: Pulse): string {
  return `${rate(mips)} MIPS · ${size(touched)}`;
}

/** The same at length. */
export function figuresAtLength({ mips, speed, touched }: Pulse): string {
  return [
    `${rate(mips)} million instructions in the last second`,
    `${rate(speed)} million a second while the guest is busy`,
    `${size(touched)} of its memory touched`,
  ].join(", ");
}
