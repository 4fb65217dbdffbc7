import { AsyncPfError } from "../errors.js";

/** Guest frame numbers are below this: 52 bits of address, 12 of them within the frame. */
const GFN_END = 2 ** 40;

/** Tells of a frame number whether it is among those meant. */
export type Covers = (gfn: number) => boolean;

/** @throws AsyncPfError "gfn" */
export function checkGfn(gfn: number): void {
  if (!Number.isInteger(gfn) || gfn < 0 || gfn >= GFN_END)
    throw new AsyncPfError("gfn", `frame number ${gfn}: an integer from 0, below 2^40`);
}

/** @throws AsyncPfError "gfn" */
export function range(first: number, count: number): Covers {
  checkGfn(first);
  if (!Number.isInteger(count) || count < 1 || first + count > GFN_END)
    throw new AsyncPfError("gfn", `${count} frames from ${first}: at least one, all below 2^40`);
  return (gfn) => gfn >= first && gfn < first + count;
}
