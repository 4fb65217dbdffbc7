import { UsageError } from "./errors.js";

/** Bytes of one piece. */
const PIECE = 4096;
/** Input of a command that repeats exactly is read before the guest starts. */
const WHOLE_MAX = 64 * 2 ** 20;

/** A command's standard input as it is asked for, a piece at a time. */
export interface CommandInput {
  /** Gives the next piece to `take`, now or when there is one: up to 4096 bytes, none at the end. */
  next(take: (bytes: Uint8Array) => void): void;
  /** What is known of it and was not given to anyone; null if more may come. */
  rest(): Uint8Array | null;
  /** Nothing more is wanted. */
  close(): void;
}

/** The program's own standard input, of which nothing is read before the command asks. */
export function liveInput(): CommandInput {
  const { stdin } = process;
  let rest: Uint8Array = new Uint8Array(0);
  let ended = false;
  let waiting: ((bytes: Uint8Array) => void) | null = null;
  const serve = (): void => {
    if (waiting === null || (rest.length === 0 && !ended)) return;
    const take = waiting;
    waiting = null;
    const piece = rest.slice(0, PIECE);
    rest = rest.subarray(PIECE);
    take(piece);
  };
  const onData = (bytes: Uint8Array): void => {
    rest = bytes;
    stdin.pause();
    serve();
  };
  const onEnd = (): void => {
    ended = true;
    serve();
  };
  stdin.pause();
  stdin.on("data", onData).on("end", onEnd).on("close", onEnd).on("error", onEnd);
  stdin.pause();
  return {
    next: (take) => {
      waiting = take;
      serve();
      if (waiting !== null) stdin.resume();
    },
    rest: () => null,
    close: () => {
      waiting = null;
      stdin.off("data", onData).off("end", onEnd).off("close", onEnd);
      stdin.pause();
    },
  };
}

/** Input that is there already. */
export function readyInput(bytes: Uint8Array): CommandInput {
  let at = 0;
  return {
    next: (take) => {
      const piece = bytes.slice(at, at + PIECE);
      at += piece.length;
      take(piece);
    },
    rest: () => bytes.slice(at),
    close: () => undefined,
  };
}

/**
 * The whole of standard input, for a run that repeats exactly: when a piece comes must not depend on who sends it. A terminal counts as empty.
 *
 * @throws {UsageError} for more than 64 MiB
 */
export async function wholeInput(): Promise<CommandInput> {
  const pieces: Uint8Array[] = [];
  let total = 0;
  if (!process.stdin.isTTY) {
    for await (const piece of process.stdin) {
      pieces.push(piece as Uint8Array);
      total += (piece as Uint8Array).length;
      if (total > WHOLE_MAX) throw new UsageError("--clock icount: more than 64 MiB of standard input");
    }
  }
  return readyInput(Buffer.concat(pieces));
}
