import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { themeFor } from "./themes.js";

/** What the terminal has to say. */
export interface TerminalEvents {
  typed(bytes: Uint8Array<ArrayBuffer>): void;
  resized(rows: number, columns: number): void;
}

const FONT = 'ui-monospace, "Cascadia Mono", "DejaVu Sans Mono", "SF Mono", Menlo, Consolas, monospace';

/** Puts a terminal into `element` that has its size and the page's colours. */
export function openTerminal(element: HTMLElement, hint: HTMLElement, events: TerminalEvents): Terminal {
  const night = matchMedia("(prefers-color-scheme: dark)");
  const terminal = new Terminal({
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    fontFamily: FONT,
    fontSize: matchMedia("(max-width: 40rem)").matches ? 12 : 14,
    lineHeight: 1.15,
    macOptionIsMeta: true,
    minimumContrastRatio: 4.5,
    scrollback: 10_000,
    theme: themeFor(night.matches),
  });
  night.addEventListener("change", () => {
    terminal.options.theme = themeFor(night.matches);
  });

  const fit = new FitAddon();
  terminal.loadAddon(fit);
  terminal.open(element);
  terminal.textarea?.setAttribute("aria-label", "Keyboard of the guest");
  terminal.textarea?.setAttribute("aria-describedby", hint.id);
  fit.fit();
  let frame = 0;
  new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(() => fit.fit());
  }).observe(element);

  const encoder = new TextEncoder();
  terminal.onData((text) => events.typed(encoder.encode(text)));
  // Reports of the mouse: characters up to 255, a byte each.
  terminal.onBinary((text) => events.typed(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
  terminal.onResize(({ rows, cols }) => events.resized(rows, cols));

  terminal.attachCustomKeyEventHandler((event) => !copies(event, terminal) && !pastes(event));
  return terminal;
}

const isShifted = (event: KeyboardEvent, code: string): boolean =>
  event.ctrlKey && event.shiftKey && !event.altKey && event.code === code;

/** Ctrl+Shift+C copies what is selected, and is kept from the browser, which opens its tools with it. */
function copies(event: KeyboardEvent, terminal: Terminal): boolean {
  if (!isShifted(event, "KeyC")) return false;
  event.preventDefault();
  if (event.type === "keydown" && terminal.hasSelection()) void navigator.clipboard?.writeText(terminal.getSelection());
  return true;
}

/** Ctrl+Shift+V is left to the browser, which pastes. */
const pastes = (event: KeyboardEvent): boolean => isShifted(event, "KeyV");
