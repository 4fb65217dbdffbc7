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

/** The engine's own stack trace; the engine makes text of it when it is asked for, so what nobody reads costs little. */
class EngineStack implements Stack {
  /** V8 fills in `stack`. */
  readonly stack: string | undefined = undefined;
  #frames: readonly string[] | undefined;

  constructor(entry: Entry) {
    const { captureStackTrace } = Error as V8Error;
    if (captureStackTrace === undefined) this.stack = new Error("stack").stack;
    else captureStackTrace(this, entry);
  }

  get frames(): readonly string[] {
    if (this.#frames === undefined) {
      const all = framesOf(this.stack);
      const first = all.findIndex((frame) => !OURS.test(frame));
      this.#frames = first < 0 ? [] : all.slice(first);
    }
    return this.#frames;
  }

  get site(): string {
    return this.frames[0] ?? "(unknown)";
  }
}

/** The callers of `entry`; other engines than V8 leave our own frames in. */
export const captureStack = (entry: Entry): Stack => new EngineStack(entry);
