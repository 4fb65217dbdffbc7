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

/** Lines of a stack trace as the engine writes them (V8's `at f (file)`, others' `f@file`), without the engine's own. */
const framesOf = (stack: string | undefined): string[] =>
  (stack ?? "")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => (line.startsWith("at ") || line.includes("@")) && !line.includes("node:internal"))
    .map((line) => line.replace(/^at /, ""));

/** A frame of ours that waits between `entry` and its caller, once the caller is resumed and `entry` is no longer on the stack. */
const OURS = /^(async )?(Mutex|RwSemaphore|Srcu)\.(run|read|write|#takeAfter) /;

interface V8Error {
  captureStackTrace?: (target: object, below: Entry) => void;
}

/** The callers of `entry`, from the engine's own stack trace; other engines than V8 leave our own frames in. */
export function captureStack(entry: Entry): Stack {
  const { captureStackTrace } = Error as V8Error;
  const holder: { stack?: string } = captureStackTrace === undefined ? new Error("stack") : {};
  captureStackTrace?.(holder, entry);
  const all = framesOf(holder.stack);
  const first = all.findIndex((frame) => !OURS.test(frame));
  const frames = first < 0 ? [] : all.slice(first);
  const site = frames[0];
  return site === undefined ? UNKNOWN : { site, frames };
}
