/** What the keys send that a touch keyboard lacks, by their name in the page. */
const SENT: Readonly<Record<string, string>> = {
  Escape: "\x1b",
  Tab: "\t",
  "Ctrl C": "\x03",
  "Ctrl D": "\x04",
  Up: "\x1b[A",
  Down: "\x1b[B",
  Left: "\x1b[D",
  Right: "\x1b[C",
};

/** Connects the row of keys below the terminal. */
export function takeKeys(send: (text: string) => void): void {
  for (const key of document.querySelectorAll<HTMLButtonElement>("[data-key]"))
    key.addEventListener("click", () => send(SENT[key.dataset.key ?? ""] ?? ""));
}
