import { TdImageError } from "./errors.js";
import { LOADER_BASE } from "./layout.js";
import { type GpaRange, tdLoader } from "./loader.js";
import { withoutZeros } from "./zero-runs.js";

/** Bytes at a guest-physical address, anywhere below the loader. */
export interface Chunk {
  readonly gpa: number;
  readonly bytes: Uint8Array;
}

export interface TdImageDesc {
  /** What is in memory when the TD starts: kernel, ram disk, zero page, tables. All of it is measured; where it is zero for long, by the loader's having to accept it. */
  readonly chunks: readonly Chunk[];
  /** Guest-physical memory from 0, bytes, a multiple of 4096. What no chunk has is accepted by the loader. */
  readonly ram: number;
  /** See `LoaderDesc`. */
  readonly entry: number;
  readonly argument: number;
  /** See `LoaderDesc`; no chunk has any of it. */
  readonly mailbox: number;
}

/** Whole pages in a row. */
export interface PageRun {
  readonly gpa: number;
  readonly bytes: Uint8Array;
  /** Whether its bytes are measured; its address always is. Default true. */
  readonly measured?: boolean;
}

/** What is added to a TD before it is finalized, page by page in this order. */
export interface TdImage {
  readonly runs: readonly PageRun[];
  /** What every vCPU finds in RCX when it starts. */
  readonly argument: number;
}

const PAGE = 4096;
/** Runs of zeros that are accepted instead of added. The loader has room for as many ranges again, which parts of an image leave between them. */
const MAX_ZERO_RUNS = 128;

/**
 * A TD that our own loader starts, which is added last.
 * @throws TdImageError if parts overlap, or lie outside of memory
 */
export function tdImage({ chunks, ram, ...loader }: TdImageDesc): TdImage {
  if (!Number.isInteger(ram / PAGE) || ram <= 0 || ram > LOADER_BASE)
    throw new TdImageError("range", `${ram} bytes of memory: expected pages below 0x${LOADER_BASE.toString(16)}`);
  // Processors look into the mailbox before the first of them has accepted anything.
  const parts = runsOf([...chunks, { gpa: loader.mailbox, bytes: new Uint8Array(PAGE) }], ram);
  const runs = withoutZeros(parts, MAX_ZERO_RUNS);
  const accept: GpaRange[] = [];
  let from = 0;
  for (const { gpa, bytes } of runs) {
    if (gpa > from) accept.push({ start: from, end: gpa });
    from = gpa + bytes.length;
  }
  if (from < ram) accept.push({ start: from, end: ram });
  return { runs: [...runs, { gpa: LOADER_BASE, bytes: tdLoader({ ...loader, accept }) }], argument: 0 };
}

/** The pages that chunks lie in, ascending. Whole pages of a chunk are views of it; a page that begins or ends one is put together. */
function runsOf(chunks: readonly Chunk[], ram: number): PageRun[] {
  const runs: PageRun[] = [];
  let written = 0;
  for (const { gpa, bytes } of [...chunks].sort((a, b) => a.gpa - b.gpa)) {
    const end = gpa + bytes.length;
    if (!Number.isInteger(gpa) || gpa < 0 || end > ram)
      throw new TdImageError(
        "range",
        `${bytes.length} bytes at 0x${gpa.toString(16)} are not in ${ram} bytes of memory`,
      );
    if (gpa < written) throw new TdImageError("overlap", `two parts have the byte at 0x${gpa.toString(16)}`);
    for (let at = gpa; at < end; ) {
      const page = Math.floor(at / PAGE) * PAGE;
      const whole = at === page ? Math.floor((end - at) / PAGE) * PAGE : 0;
      const part = bytes.subarray(at - gpa, (whole > 0 ? at + whole : Math.min(page + PAGE, end)) - gpa);
      if (whole > 0) runs.push({ gpa: at, bytes: part });
      else pageAt(runs, page).set(part, at - page);
      at += part.length;
    }
    written = end;
  }
  return runs;
}

/** The page at `gpa`, which is the last there is, or is behind it. */
function pageAt(runs: PageRun[], gpa: number): Uint8Array {
  const last = runs.at(-1);
  if (last?.gpa === gpa) return last.bytes;
  const bytes = new Uint8Array(PAGE);
  runs.push({ gpa, bytes });
  return bytes;
}
