const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
export type EndingSignal = (typeof SIGNALS)[number];

let ending: EndingSignal | null = null;

/**
 * Calls `onSignal` when a signal from outside asks the program to end, which it then does by that signal, once everything is closed
 * ({@link endBySignal}). A second signal ends it at once, after `atOnce`.
 *
 * @param spare a signal that `onSignal` may take for itself: it returns true if the program goes on
 * @returns the function that ends this
 */
export function onEndingSignals(onSignal: (signal: EndingSignal) => boolean, atOnce: () => void): () => void {
  const handler = (signal: NodeJS.Signals): void => {
    const name = signal as EndingSignal;
    if (ending !== null) {
      atOnce();
      release();
      process.kill(process.pid, name);
    } else if (!onSignal(name)) ending = name;
  };
  const release = (): void => {
    for (const signal of SIGNALS) process.off(signal, handler);
  };
  for (const signal of SIGNALS) process.on(signal, handler);
  return release;
}

/** Ends the program by the signal that asked for it, if one did. */
export function endBySignal(): void {
  if (ending === null) return;
  process.removeAllListeners(ending);
  process.kill(process.pid, ending);
}
