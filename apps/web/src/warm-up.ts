import type { Terminal } from "@xterm/xterm";

/** The characters of ASCII that can be seen, in cells that hide them (SGR 8). */
const TEXT = `\x1b[8m${String.fromCharCode(...Array.from({ length: 95 }, (_, k) => 32 + k))}\x1b[m`;
/** A page in the background is not drawn; it need not wait. */
const PATIENCE_MS = 100;

/**
 * Has the terminal draw every letter once, unseen, and leaves it empty. It measures a letter when it draws it for the first time, and each of these is
 * a layout of the page: 30 ms in a row if the first lines of a guest bring most of them.
 */
export async function warmUp(terminal: Pick<Terminal, "write" | "reset" | "onRender">): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, PATIENCE_MS);
    const drawn = terminal.onRender(done);
    function done(): void {
      clearTimeout(timer);
      drawn.dispose();
      resolve();
    }
    terminal.write(TEXT);
  });
  terminal.reset();
}
