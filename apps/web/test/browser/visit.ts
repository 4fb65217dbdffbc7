import type { Browser, BrowserContext, Page } from "playwright-core";
import { expect, vi } from "vitest";

/** Longer than anything takes on a busy machine, ms: for what hangs. */
export const PATIENCE = 120_000;
/** For `expect.poll`. */
export const SOON = { timeout: PATIENCE, interval: 30 };

/** The page with a guest in it. */
export interface Visit {
  readonly page: Page;
  /** What page and browser complained of: errors, and what the content security policy kept from happening. */
  readonly complaints: readonly string[];
  /** What the guest has written since the page was loaded. */
  output(): Promise<string>;
  /** Waits until what the guest has written matches. */
  until(wanted: RegExp): Promise<void>;
  /** Types into the guest and waits until what it writes from then on matches. */
  type(text: string, wanted: RegExp): Promise<void>;
  /** Pastes into the terminal. */
  paste(text: string): Promise<void>;
  close(): Promise<void>;
}

/** Opens the page in a profile of its own, or in `context`. */
export async function visit(browser: Browser, url: string, context?: BrowserContext): Promise<Visit> {
  const own = context ?? (await browser.newContext({ viewport: { width: 1280, height: 800 } }));
  const page = await own.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || /Content.Security.Policy/i.test(message.text())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.addInitScript(listen);
  await page.goto(url);
  const output = (): Promise<string> =>
    page.evaluate(() => (globalThis as unknown as { guestOutput: string }).guestOutput);
  const until = (wanted: RegExp, from = 0): Promise<void> =>
    vi.waitFor(async () => expect((await output()).slice(from)).toMatch(wanted), SOON);
  return {
    page,
    complaints,
    output,
    until: (wanted) => until(wanted),
    type: async (text, wanted) => {
      const { length } = await output();
      await page.keyboard.type(text);
      await until(wanted, length);
    },
    paste: async (text) => {
      await page.evaluate(select, text);
      await page.keyboard.press("Control+C");
      await page.evaluate(deselect);
      await page.keyboard.press("Control+Shift+V");
    },
    close: () => (context === undefined ? own.close() : page.close()),
  };
}

/** In the page, before it: keeps what the Worker passes on of the guest's console. */
function listen(): void {
  const global = globalThis as unknown as { guestOutput: string; Worker: typeof Worker };
  global.guestOutput = "";
  const decoder = new TextDecoder();
  global.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      this.addEventListener("message", ({ data }) => {
        if (data.kind === "output") global.guestOutput += decoder.decode(data.bytes, { stream: true });
      });
    }
  };
}

/** In the page: selects text in a field made for it. */
function select(text: string): void {
  const field = document.createElement("textarea");
  field.id = "to-copy";
  field.value = text;
  document.body.append(field);
  field.select();
}

/** In the page: takes the field away and gives the terminal the keyboard. */
function deselect(): void {
  document.getElementById("to-copy")?.remove();
  document.querySelector<HTMLElement>(".xterm-helper-textarea")?.focus();
}
