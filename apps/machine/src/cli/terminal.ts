/** Undoes what was done to the terminal; safe to call at any time, also twice. */
export type Restore = () => void;

/** Where what is typed goes. */
export interface Keyboard {
  type(bytes: Uint8Array): void;
  /** Resolves when more can be typed; what comes in the meantime stays with whoever sends it. */
  hungry(): Promise<void>;
}

/**
 * Gives standard input to `keyboard`, raw if it is a terminal. The terminal is put back when the process exits, if not before.
 */
export function takeKeyboard(keyboard: Keyboard): Restore {
  const { stdin } = process;
  const raw = stdin.isTTY === true;
  let taken = true;
  const onInput = (bytes: Uint8Array): void => {
    keyboard.type(bytes);
    stdin.pause();
    void keyboard.hungry().then(() => {
      if (taken) stdin.resume();
    });
  };
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
