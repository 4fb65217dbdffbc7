import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { servePage } from "../../tools/server.mjs";
import { PAGE } from "../../tools/site.mjs";
import { launch, noBrowser, speaksDevTools } from "./launch.js";
import { SOON, type Visit, visit } from "./visit.js";

/** The page's own policy, for its Worker as well: a Worker has that of its own response. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'";
const PROMPT = /vm> $/;

describe.skipIf(noBrowser !== null)("the page, from a folder of a static server, under a strict policy", () => {
  let browser: Browser;
  let server: Awaited<ReturnType<typeof servePage>>;
  let guest: Visit;
  const state = () => guest.page.locator("#state").textContent();
  const button = (name: string) => guest.page.getByRole("button", { name, exact: true });
  const is = (text: string) => expect.poll(state, SOON).toBe(text);
  const message = () => guest.page.getByRole("alert").textContent();

  beforeAll(async () => {
    server = await servePage(PAGE, { base: "/some/folder/", headers: { "content-security-policy": POLICY } });
    browser = await launch();
    guest = await visit(browser, server.url);
    await guest.until(PROMPT);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });

  it("boots the built-in guest at once, without cross-origin isolation", async () => {
    await is("Running");
    expect(await guest.page.evaluate(() => crossOriginIsolated)).toBe(false);
    expect(guest.page.url()).toMatch(/\/some\/folder\/$/);
    await expect.poll(() => guest.page.locator("#figures").textContent(), SOON).toMatch(/^[\d.]+ MIPS · [\d.]+ MiB$/);
  });

  it("has the keyboard at once: what is typed is the guest's", async () => {
    await guest.type("echo hello\r", /\r\nhello\r\nvm> $/);
    await expect.poll(() => guest.page.locator(".xterm-rows").textContent(), SOON).toContain("vm> echo hello");
  });

  it("a paste of 200 KB arrives whole", async () => {
    const lines = Array.from({ length: 10_000 }, (_, k) => `echo line ${k * 7}`);
    const before = (await guest.output()).length;
    await guest.paste(`${lines.join("\n")}\n`);
    await guest.until(/\nline 69993\r\nvm> $/);
    const written = (await guest.output()).slice(before);
    expect(written.match(/^line \d+/gm)).toEqual(lines.map((line) => line.replace("echo ", "")));
  });

  it("the guest stands still while it is paused", async () => {
    await button("Pause").click();
    await is("Paused");
    await guest.page.locator(".xterm-screen").click();
    const { length } = await guest.output();
    await guest.page.keyboard.type("echo after\r");
    expect((await guest.output()).length).toBe(length);
    await button("Resume").click();
    await is("Running");
    await guest.until(/\r\nafter\r\nvm> $/);
  });

  it("stops, starts and starts over", async () => {
    await button("Stop").click();
    await is("Ended");
    await expect
      .poll(() => guest.page.locator(".xterm-rows").textContent())
      .toContain("[Stopped. Start boots it again.]");
    expect(await button("Pause").isDisabled()).toBe(true);
    await button("Start").click();
    await is("Running");
    await guest.type("echo first\r", /\r\nfirst\r\nvm> $/);
    await button("Restart").click();
    await guest.until(/first\r\nvm> .*Built-in guest.*vm> $/s);
    await guest.type("exit\r", /exit/);
    await is("Ended");
    await button("Start").click();
    await guest.until(/exit.*Built-in guest.*vm> $/s);
  });

  it("the keyboard leaves the terminal with Ctrl and Alt, reaches everything, and comes back", async () => {
    const { page } = guest;
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.className);
    const ctrlAlt = async () => {
      for (const key of ["Control", "Alt"]) await page.keyboard.down(key);
      for (const key of ["Alt", "Control"]) await page.keyboard.up(key);
      return focused();
    };
    const terminal = "xterm-helper-textarea";
    expect(await focused()).toBe(terminal);
    const order = [await ctrlAlt()];
    while (order.at(-1) !== terminal && order.length < 20) {
      await page.keyboard.press("Tab");
      order.push(await focused());
    }
    const fields = ["guest", "memory", "cpus", "words", "disk", "reader"];
    expect(order).toEqual(["pause", "stop", "restart", "toggle", ...fields, terminal]);
    expect([await ctrlAlt(), await ctrlAlt()]).toEqual(["pause", terminal]);
    await guest.type("echo back\r", /\r\nback\r\nvm> $/);
  });

  it("every control has a name", async () => {
    const nameless = await guest.page.evaluate(() =>
      [...document.querySelectorAll("button, input, select, textarea, fieldset, form, section, ul")]
        .filter((element) => {
          const labels = (element as HTMLInputElement).labels?.length ?? 0;
          const named = element.getAttribute("aria-label") || element.getAttribute("aria-labelledby");
          return !named && labels === 0 && !element.querySelector(":scope > legend") && !element.textContent?.trim();
        })
        .map((element) => element.outerHTML),
    );
    expect(nameless).toEqual([]);
  });

  it("takes files that are dropped anywhere, and says what they are", async () => {
    await guest.page.evaluate(() => {
      const dataTransfer = new DataTransfer();
      const kernel = new Uint8Array(1024);
      kernel.set(new TextEncoder().encode("HdrS"), 0x202);
      dataTransfer.items.add(new File([kernel], "vmlinuz"));
      dataTransfer.items.add(new File(["070701"], "initrd.img"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    });
    await expect
      .poll(message)
      .toContain("vmlinuz is the kernel, initrd.img is the initial ram disk. Restart to use them.");
    expect(await guest.page.getByLabel("What boots").inputValue()).toBe("own");
    expect(await guest.page.getByLabel("Kernel", { exact: true }).inputValue()).toContain("vmlinuz");
  });

  it("says in a sentence why a machine does not start", async () => {
    await button("Restart").click();
    await is("Failed");
    await expect.poll(message, SOON).toContain("The kernel cannot be used: it is a zImage");
  });

  it("says what is missing or wrong in the form, and leads there", async () => {
    const { page } = guest;
    await page.getByLabel("/dev/vda").selectOption("image");
    await button("Start").click();
    await expect.poll(message, SOON).toContain("Choose a disk image");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("image");
    await page.getByLabel("Processors").fill("99");
    await button("Start").click();
    await expect.poll(message, SOON).toContain("Processors: ");
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("cpus");
  });

  it("remembers what was chosen, but for files", async () => {
    const { page } = guest;
    await page.getByLabel("Processors").fill("2");
    await page.getByLabel("Memory").selectOption("64");
    await page.reload();
    await guest.until(PROMPT);
    const fields = ["What boots", "Memory", "Processors", "/dev/vda"].map((name) => page.getByLabel(name).inputValue());
    expect(await Promise.all(fields)).toEqual(["builtin", "64", "2", "none"]);
  });

  it.skipIf(!speaksDevTools)("says when the browser has no room for a disk", async () => {
    const { page } = guest;
    const tools = await page.context().newCDPSession(page);
    const quota = { origin: new URL(server.url).origin, quotaSize: 2 ** 20 };
    await tools.send("Storage.overrideQuotaForOrigin", quota);
    await page.getByLabel("/dev/vda").selectOption("kept");
    await button("Restart").click();
    await is("Failed");
    await expect.poll(message, SOON).toContain("The disk cannot be used: the browser gives this page no more room.");
    await page.getByLabel("/dev/vda").selectOption("none");
  });

  it("has a place for everything on a telephone", async () => {
    const { page } = guest;
    await page.setViewportSize({ width: 360, height: 740 });
    await page.reload();
    await guest.until(PROMPT);
    const wide = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(await wide()).toBeLessThanOrEqual(0);
    await button("Settings").click();
    await page.getByLabel("/dev/vda").scrollIntoViewIfNeeded();
    expect(await wide()).toBeLessThanOrEqual(0);
  });

  it("nobody complained", () => {
    expect(guest.complaints).toEqual([]);
  });
});
