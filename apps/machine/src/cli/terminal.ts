/** Undoes what was done to the terminal; safe to call at any time, also twice. */
export type Restore = () => void;

/**
 * Gives the keyboard to `onInput`, raw if it is a terminal. The terminal is put back when the process exits, if not before.
 */
export function takeKeyboard(onInput: (bytes: Uint8Array) => void): Restore {
  const { stdin } = process;
  const raw = stdin.isTTY === true;
  let taken = true;
  const restore = (): void => {
    if (!taken) return;
    taken = false;
    process.off("exit", restore);
    stdin.off("data", onInput);
    stdin.pause();
    if (raw) stdin.setRawMode(false);
  };
  process.on("exit", restore);
  if (raw) stdin.setRawMode(true);
  stdin.on("data", onInput);
  stdin.resume();
  return restore;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Calls `restore` before a signal from outside ends the process, which then ends by that signal. Returns the function that ends this. */
export function restoreOnSignals(restore: Restore): () => void {
  const handler = (signal: NodeJS.Signals): void => {
    restore();
    release();
    process.kill(process.pid, signal);
  };
  const release = (): void => {
    for (const signal of SIGNALS) process.off(signal, handler);
  };
  for (const signal of SIGNALS) process.on(signal, handler);
  return release;
}
