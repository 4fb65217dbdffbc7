/** What the keyboard asks of the program rather than of the guest. */
export type EscapeAction = "quit" | "save" | "help";

const CTRL_A = 1;

/** The escape key of an interactive session, as in screen(1) and QEMU: Ctrl-A, then a letter. */
export class EscapeKey {
  #armed = false;

  /** Splits typed bytes into what goes to the guest and what is asked of the program. */
  push(bytes: Uint8Array): { readonly input: Uint8Array; readonly actions: readonly EscapeAction[] } {
    const input: number[] = [];
    const actions: EscapeAction[] = [];
    for (const byte of bytes) {
      if (!this.#armed) {
        if (byte === CTRL_A) this.#armed = true;
        else input.push(byte);
        continue;
      }
      this.#armed = false;
      const key = String.fromCharCode(byte).toLowerCase();
      if (key === "x") actions.push("quit");
      else if (key === "s") actions.push("save");
      else if (key === "a" || byte === CTRL_A) input.push(CTRL_A);
      else actions.push("help");
    }
    return { input: Uint8Array.from(input), actions };
  }
}

export const ESCAPE_HELP = [
  "Ctrl-A x  quit: end the machine at once",
  "Ctrl-A s  save the machine to a new folder here, and go on",
  "Ctrl-A h  this help",
  "Ctrl-A a  send Ctrl-A to the guest",
]
  .map((line) => `${line}\r\n`)
  .join("");
