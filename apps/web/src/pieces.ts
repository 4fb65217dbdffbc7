import type { Terminal } from "@xterm/xterm";

/** Bytes that the terminal is given at a time, which take it a millisecond or two. Between two it looks whether it has kept the page for 12 ms. */
const PIECE = 1024;

/** Writes `bytes`, at least one, to the terminal; `shown` is called when it has taken all of them. */
export function writePieces(terminal: Pick<Terminal, "write">, bytes: Uint8Array, shown: () => void): void {
  for (let at = 0; at < bytes.length; at += PIECE)
    terminal.write(bytes.subarray(at, at + PIECE), at + PIECE < bytes.length ? undefined : shown);
}
