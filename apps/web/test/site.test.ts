import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { readManifest } from "../src/served-guests.js";
import { servePage } from "../tools/server.mjs";
import { makeSite, pageFiles } from "../tools/site.mjs";

const dir = mkdtempSync(join(tmpdir(), "vm-site-"));
const site = join(dir, "site");
afterAll(() => rmSync(dir, { recursive: true }));

const kernel = join(dir, "kernel");
const initrd = join(dir, "initrd");
writeFileSync(kernel, "a kernel");
writeFileSync(initrd, "a ram disk");
const guests = [{ series: "6.1", kernel, initrd }];

const manifest = (): unknown => JSON.parse(readFileSync(join(site, "guests/manifest.json"), "utf8"));

describe("the folder for a static host", () => {
  it("has the page, and offers the guests there are", () => {
    makeSite(site, guests);
    expect(readdirSync(site)).toEqual(["assets", "guests", "icon.svg", "index.html"]);
    const [guest] = readManifest(manifest(), "https://host/guests/manifest.json");
    expect(guest).toMatchObject({ id: "debian-6.1", kernel: "https://host/guests/vmlinuz-6.1" });
    expect(readFileSync(join(site, "guests/vmlinuz-6.1"), "utf8")).toBe("a kernel");
    expect(readFileSync(join(site, "guests/initramfs-6.1.cpio"), "utf8")).toBe("a ram disk");
  });

  it("keeps what is as it should be, replaces what has changed, and loses what is gone", () => {
    writeFileSync(join(site, "old"), "old");
    writeFileSync(kernel, "another kernel");
    makeSite(site, guests);
    expect(readFileSync(join(site, "guests/vmlinuz-6.1"), "utf8")).toBe("another kernel");
    makeSite(site, []);
    expect(readdirSync(join(site, "guests"))).toEqual(["manifest.json"]);
    expect(readdirSync(site)).not.toContain("old");
    expect(readManifest(manifest(), "https://host/")).toEqual([]);
  });
});

describe("a built page", () => {
  it("is what its index leads to, not what lies there of another build", () => {
    const page = join(dir, "page");
    mkdirSync(join(page, "assets"), { recursive: true });
    const files = {
      "index.html": '"./assets/a-1.js"',
      "assets/a-1.js": "import './b-1.js'",
      "assets/b-1.js": "",
      "assets/a-2.js": "b-1.js",
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(page, name), text);
    expect(pageFiles(page)).toEqual(["index.html", "assets/a-1.js", "assets/b-1.js"]);
  });
});

describe("the server", () => {
  it("serves the folder and nothing outside it", async () => {
    makeSite(site, guests);
    const server = await servePage(site, { base: "/a/b/" });
    const status = async (path: string) => (await fetch(new URL(path, server.url))).status;
    expect([await status("."), await status("guests/vmlinuz-6.1"), await status("none")]).toEqual([200, 200, 404]);
    expect([await status("%2e%2e/kernel"), await status("..%2fkernel"), await status("/kernel")]).toEqual([
      404, 404, 404,
    ]);
    await server.close();
  });
});
