import { EXTEND_CHUNK, Mrtd, PAGE } from "../measure/mrtd.js";
import type { TdImage } from "./image.js";

/** Pages between two pauses: a few ms. */
const PAGES = 64;

/**
 * MRTD of a TD that is built of an image: each page is added and measured before the next, in the order of the runs.
 * @param breathe called every few ms, and waited for
 * @returns 48 bytes
 * @throws {FieldError} for a run that is not of whole pages, and what `breathe` throws
 */
export async function measureTdImage(
  { runs }: Pick<TdImage, "runs">,
  breathe: () => Promise<void> | void = () => undefined,
): Promise<Uint8Array> {
  const mrtd = new Mrtd();
  let pages = 0;
  for (const { gpa, bytes, measured = true } of runs)
    for (let page = 0; page < bytes.length; page += PAGE) {
      mrtd.pageAdd(gpa + page);
      for (let at = page; measured && at < page + PAGE; at += EXTEND_CHUNK)
        mrtd.extend(gpa + at, bytes.subarray(at, at + EXTEND_CHUNK));
      if (++pages % PAGES === 0) await breathe();
    }
  return mrtd.digest();
}
