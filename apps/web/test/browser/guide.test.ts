import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";
import { build } from "vite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { servePage } from "../../tools/server.mjs";
import { launch, noBrowser } from "./launch.js";
import { PATIENCE, SOON } from "./visit.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const guide = readFileSync(new URL("../../../docs/browser.md", import.meta.url), "utf8");
/** The code blocks of the guide, and the names of files that begin them in a comment. */
const blocks = [...guide.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language = "", code = ""]) => {
  return { language, code, name: /^(?:\/\/|<!--) ([\w.]+)/.exec(code)?.[1] };
});

describe.skipIf(noBrowser !== null)("the guide to the browser", () => {
  let folder: string;
  let browser: Browser;
  let server: Awaited<ReturnType<typeof servePage>>;
  const complaints: string[] = [];

  /** Opens a page of the guide. */
  async function open(path: string): Promise<Page> {
    const page = await browser.newPage();
    page.setDefaultTimeout(PATIENCE);
    // The guide's pages have no icon, which browsers look for.
    const complain = (text: string): void => void (text.includes("/favicon.ico") || complaints.push(text));
    page.on("pageerror", (error) => complain(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complain(`${message.text()} ${message.location().url}`);
    });
    await page.goto(new URL(path, server.url).href);
    return page;
  }

  /** Starts a Worker of the guide on a page, gives it `message`, and resolves with what it says until it says `last`. */
  function converse(page: Page, script: string, message: object, last: string): Promise<Record<string, unknown>[]> {
    return page.evaluate(
      ([script, message, last]) =>
        new Promise((resolve, reject) => {
          const heard: Record<string, unknown>[] = [];
          const worker = new Worker(script, { type: "module" });
          worker.addEventListener("error", ({ message }) => reject(new Error(message)));
          worker.addEventListener("message", ({ data }) => {
            heard.push(
              Object.fromEntries(
                Object.entries(data).map(([name, value]) => [
                  name,
                  value instanceof ReadableStream ? "stream" : value instanceof WritableStream ? "sink" : value,
                ]),
              ),
            );
            if (last in data) resolve(heard);
          });
          worker.postMessage({ ...message, image: new Blob([new Uint8Array(4096)]) });
        }),
      [script, message, last] as const,
    );
  }

  beforeAll(async () => {
    // Below the package, so that what it depends on is found.
    mkdirSync(`${root}.cache`, { recursive: true });
    folder = mkdtempSync(`${root}.cache/guide-`);
    for (const { name, code } of blocks) if (name !== undefined) writeFileSync(join(folder, name), code);
    const { default: config } = await import(pathToFileURL(join(folder, "vite.config.js")).href);
    const input = ["index.html", "disks.js", "sized.js"].map((name) => join(folder, name));
    const output = { entryFileNames: "[name].js" };
    await build({
      ...config,
      root: folder,
      configFile: false,
      logLevel: "error",
      build: { rolldownOptions: { input, output } },
    });
    const [program, ...args] =
      blocks
        .find(({ language }) => language === "sh")
        ?.code.trim()
        .split(" ") ?? [];
    execFileSync(`${root}node_modules/.bin/${program}`, args, { cwd: folder, stdio: "pipe" });
    for (const name of ["plain.html", "machine.bundle.js"])
      writeFileSync(join(folder, "dist", name), readFileSync(join(folder, name)));
    server = await servePage(join(folder, "dist"), { base: "/deep/in/a/host/" });
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
    rmSync(folder, { recursive: true });
  });

  it("has no code but what is tried here", () => {
    expect(blocks.map(({ name, language }) => name ?? language)).toEqual([
      "machine.js",
      "page.js",
      "index.html",
      "vite.config.js",
      "sh",
      "plain.html",
      "disks.js",
      "sized.js",
    ]);
  });

  it("its page with a bundler shows the guest and takes what is typed", async () => {
    const page = await open("index.html");
    const rows = page.locator(".xterm-rows");
    await expect.poll(() => rows.textContent(), SOON).toContain("vm> ");
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("echo hello\rexit\r");
    await expect.poll(() => rows.textContent(), SOON).toMatch(/vm> echo hello\s*hello.*\[ended\]/);
    await page.close();
  });

  it("its page without a bundler does", async () => {
    const page = await open("plain.html");
    const output = page.locator("#output");
    await expect.poll(() => output.textContent(), SOON).toMatch(/\r?\nhello\r?\n.*\[ended\]/s);
    await page.close();
  });

  it("its disks are kept, each as large as it says", async () => {
    const page = await open("plain.html");
    const heard = await converse(page, "disks.js", {}, "reason");
    expect(heard).toEqual([{ sectors: [131072, 8] }, { reason: "power-off" }]);
    const kept = await page.evaluate(async () => {
      const top = await navigator.storage.getDirectory();
      const sizes: Record<string, number> = {};
      for await (const handle of top.values())
        if (handle instanceof FileSystemFileHandle) sizes[handle.name] = (await handle.getFile()).size;
      return sizes;
    });
    expect(kept).toEqual({ "disk.img": 64 * 2 ** 20, "written.qcow2": 4 * 65536 });
    // And again, over what is kept.
    expect(await converse(page, "disks.js", {}, "reason")).toEqual(heard);
    await page.close();
  });

  it("its terminal's size does no harm to a guest without the agent", async () => {
    const page = await open("plain.html");
    expect(await converse(page, "sized.js", {}, "readable")).toEqual([{ readable: "stream", writable: "sink" }]);
    await page.close();
  });

  it("nobody complained", () => {
    expect(complaints).toEqual([]);
  });
});
