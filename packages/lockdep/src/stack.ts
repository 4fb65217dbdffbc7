/** Where something happened. */
export interface Stack {
  /** The frame that took the lock: printed after `at:`. */
  readonly site: string;
  /** All frames, innermost first. */
  readonly frames: readonly string[];
  /** What stands below `stack backtrace:` if it is not simply the frames. */
  readonly dump?: readonly string[];
}

/** A function of the public interface: frames from it inwards are the validator's own. */
export type Entry = (...args: never[]) => unknown;

/** A stack that says nothing: the engine gave none. */
const UNKNOWN: Stack = { site: "(unknown)", frames: [] };

const framesOf = (stack: string | undefined): string[] =>
  (stack ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.startsWith("at ") || line.includes("@"))
    .map((line) => line.replace(/^at /, ""));

interface V8Error {
  captureStackTrace?: (target: object, below: Entry) => void;
}

/** The callers of `entry`, from the engine's own stack trace (V8's `at f (file)` or `f@file`). */
export function captureStack(entry: Entry): Stack {
  const holder: { stack?: string } = {};
  (Error as V8Error).captureStackTrace?.(holder, entry);
  let frames = framesOf(holder.stack);
  // After an await `entry` is no longer on the stack, and other engines do not cut at all.
  if (frames.length === 0) frames = framesOf(new Error("stack").stack);
  const site = frames[0];
  return site === undefined ? UNKNOWN : { site, frames };
}
