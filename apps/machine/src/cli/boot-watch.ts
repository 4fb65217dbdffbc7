import { printable } from "./printable.js";

/** Longest line that is looked at, and kept as the guest's last words; characters. */
const LINE_MAX = 400;

/** Words on the console of a guest that say it will not run the command, and what they mean. `$1` is what the first group matched. */
const SIGNS: readonly { readonly sign: RegExp; readonly meaning: string; readonly over: boolean }[] = [
  { sign: /Kernel panic - not syncing: (.*)/, meaning: "the kernel panicked: $1", over: false },
  { sign: /end Kernel panic/, meaning: "", over: true },
  { sign: /^vm-agent: (this kernel .*)/, meaning: "$1", over: false },
  { sign: /^ALERT!\s+(.*?\.)/, meaning: "its initial ram disk found no root: $1", over: false },
  {
    sign: /^(?:\(initramfs\)|dracut:\/#|.*\bentering emergency mode)/i,
    meaning: "its initial ram disk gave up",
    over: true,
  },
  {
    sign: /^(?:\S+ )?login: $/,
    meaning: "it booted to its login: its initial ram disk does not follow init=",
    over: true,
  },
];

/** Reads the console of a guest that is to run a command, for the reason why it does not. */
export class BootWatch {
  readonly #onOver: () => void;
  readonly #decoder = new TextDecoder("latin1");
  #line = "";
  #lastWords = "";
  #meaning: string | null = null;

  /** @param onOver the guest will not go on by itself */
  constructor(onOver: () => void) {
    this.#onOver = onOver;
  }

  /** Why the command cannot be run, as far as the guest has said. */
  get why(): string | null {
    return this.#meaning;
  }

  /** The last line with something on it, fit to be shown. */
  get lastWords(): string {
    return printable(this.#line.trim() === "" ? this.#lastWords : this.#line).trim();
  }

  push(bytes: Uint8Array): void {
    const lines = this.#decoder.decode(bytes).split(/\r?\n|\r/);
    lines.forEach((text, k) => {
      this.#line = (this.#line + text).slice(0, LINE_MAX);
      const whole = k < lines.length - 1;
      this.#look(whole);
      if (!whole) return;
      if (this.#line.trim() !== "") this.#lastWords = this.#line;
      this.#line = "";
    });
  }

  #look(whole: boolean): void {
    const line = this.#line.replace(/^\[ *\d+\.\d+\] /, "");
    for (const { sign, meaning, over } of SIGNS) {
      // What begins at the start of a line may be a prompt, behind which nothing comes; of all else the whole line is wanted.
      const match = whole || over ? sign.exec(line) : null;
      if (match === null) continue;
      // The first words are the cause: a ram disk without a root ends, and the kernel panics for want of it.
      if (meaning !== "") this.#meaning ??= printable(meaning.replace("$1", match[1] ?? "")).trim();
      if (over) this.#onOver();
    }
  }
}
