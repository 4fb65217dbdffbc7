import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureGuests, GuestError } from "@vm/guests";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { servePage } from "../../tools/server.mjs";
import { makeSite } from "../../tools/site.mjs";
import { launch, noBrowser, speaksDevTools } from "./launch.js";
import { SOON, type Visit, visit } from "./visit.js";

/** Debian's kernels and our ram disk; null where there is no apt to get them with. Any other reason is a failure. */
const guests = await ensureGuests().catch((error: unknown) => {
  if (error instanceof GuestError && error.code === "no-apt") return null;
  throw error;
});

/** The prompt of the shell, which asks the terminal where its cursor is and clears what is behind it. */
const PROMPT = /\/ # (\p{Cc}\[\w+)*$/u;
/** The line `text`, then a prompt. */
const after = (text: string): RegExp => new RegExp(`\\n${text}\\r\\n[^\\n]*/ # `);

describe.skipIf(noBrowser !== null || guests === null)("Debian's kernel on the page", () => {
  const site = mkdtempSync(join(tmpdir(), "vm-web-"));
  let browser: Browser;
  let server: Awaited<ReturnType<typeof servePage>>;
  let guest: Visit;
  const rows = () => guest.page.evaluate(() => document.querySelector(".xterm-rows")?.childElementCount);

  beforeAll(async () => {
    makeSite(site, guests ? [{ series: "6.1", kernel: guests.kernel("6.1"), initrd: guests.initrd("6.1") }] : []);
    server = await servePage(site);
    browser = await launch();
    guest = await visit(browser, server.url);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(site, { recursive: true });
  });

  it("boots to a shell, with a disk that the browser keeps", async () => {
    const { page } = guest;
    await page.getByLabel("What boots").selectOption("debian-6.1");
    await page.getByLabel("Processors").fill("2");
    await page.getByLabel("/dev/vda").selectOption("kept");
    await page.getByLabel("Size when it is made").fill("8");
    await expect.poll(() => page.locator("#changed").textContent(), SOON).toBe("Restart to use what you changed.");
    await page.getByRole("button", { name: "Restart" }).click();
    await guest.until(PROMPT);
    await guest.type("nproc; cat /sys/block/vda/size\r", after("2\r\n16384"));
  });

  it("knows the terminal's size, and follows it", async () => {
    const { page } = guest;
    await guest.type("stty size\r", after(`${await rows()} \\d+`));
    const before = await rows();
    await page.setViewportSize({ width: 900, height: 500 });
    await expect.poll(rows, SOON).not.toBe(before);
    await guest.type(
      `until [ $(stty size | cut -d' ' -f1) = ${await rows()} ]; do :; done; stty size\r`,
      after(`${await rows()} \\d+`),
    );
  });

  it("a paste of 200 KB arrives whole", async () => {
    const lines = Array.from({ length: 8000 }, (_, k) => `a line of a paste, ${k}`);
    await guest.type("stty -echo; cat > /tmp/pasted; stty echo\r", /pasted; stty echo\r\n/);
    await guest.paste(`${lines.join("\n")}\n`);
    await guest.type("\x04", PROMPT);
    const sum = createHash("md5")
      .update(`${lines.join("\n")}\n`)
      .digest("hex");
    await guest.type("md5sum < /tmp/pasted\r", after(`${sum}  -`));
  });

  it("what it wrote to the disk is there after a reload, which boots it again", async () => {
    await guest.type("echo kept on the disk > /dev/vda; sync; echo synced\r", after("synced"));
    await guest.page.reload();
    await guest.until(PROMPT);
    await guest.type("head -n 1 /dev/vda\r", after("kept on the disk"));
  });

  it("a second tab is told that the disk is in use", async () => {
    const other = await visit(browser, server.url, guest.page.context());
    const alert = other.page.getByRole("alert");
    await expect
      .poll(() => alert.textContent(), SOON)
      .toContain("The disk is open in another tab: stop the machine there first.");
    await other.close();
  });

  it("the disk can be downloaded once the machine is stopped, and forgotten", async () => {
    const { page } = guest;
    const forget = page.getByRole("button", { name: "Forget the page's disk" });
    await page.getByRole("button", { name: "Settings" }).click();
    expect(await forget.isDisabled()).toBe(true);
    await page.getByRole("button", { name: "Stop" }).click();
    await expect.poll(() => forget.isEnabled(), SOON).toBe(true);
    if (speaksDevTools) {
      const [download] = await Promise.all([
        page.waitForEvent("download"),
        page.getByRole("button", { name: "Download the page's disk" }).click(),
      ]);
      expect(download.suggestedFilename()).toBe("disk.img");
      const disk = readFileSync(await download.path());
      expect([disk.length, disk.toString("latin1", 0, 17)]).toEqual([8 * 2 ** 20, "kept on the disk\n"]);
    }
    page.once("dialog", (dialog) => void dialog.accept());
    await forget.click();
    await expect.poll(() => page.locator("#kept").isVisible(), SOON).toBe(false);
  });

  it("boots from a kernel and a ram disk that were dropped, over a dropped image whose writes are kept", async () => {
    const { page } = guest;
    await page.getByLabel("/dev/vda").selectOption("none");
    const drop = () =>
      page.evaluate(async () => {
        const dataTransfer = new DataTransfer();
        for (const name of ["vmlinuz-6.1", "initramfs-6.1.cpio"])
          dataTransfer.items.add(new File([await (await fetch(`guests/${name}`)).blob()], name));
        const image = new File([new Uint8Array(2 ** 20).fill(0x61)], "letters.img", { lastModified: 1 });
        dataTransfer.items.add(image);
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
      });
    await drop();
    await expect
      .poll(() => page.getByRole("alert").textContent())
      .toContain("letters.img is the disk image. Start to use them.");
    await page.getByRole("button", { name: "Start" }).click();
    await guest.until(new RegExp(`kept on the disk.*Linux version.*${PROMPT.source}`, "su"));
    await guest.type("head -c 3 /dev/vda; echo\r", after("aaa"));
    await guest.type("echo written > /dev/vda; sync; echo synced\r", after("synced"));
    await page.reload();
    await drop();
    await page.getByRole("button", { name: "Restart" }).click();
    await guest.until(PROMPT);
    await guest.type("head -c 10 /dev/vda; echo\r", after("written\r\naa"));
    expect(await page.locator("#kept").textContent()).toContain("written over letters.img");
  });

  it("nobody complained", () => {
    expect(guest.complaints).toEqual([]);
  });
});
