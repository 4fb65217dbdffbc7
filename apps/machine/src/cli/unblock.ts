import type { WriteStream } from "node:tty";

/**
 * Node writes to a terminal synchronously, so that one which is stopped (Ctrl-S) would stop the program. Its handle can be told
 * otherwise, by a method that is not part of the documented interface; where that is missing, writing stays as it was.
 */
export function unblock(stream: NodeJS.WriteStream): void {
  if (!stream.isTTY) return;
  const { _handle: handle } = stream as WriteStream & { _handle?: { setBlocking?: (blocking: boolean) => unknown } };
  handle?.setBlocking?.(false);
}
