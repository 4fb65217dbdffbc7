// What a stranger gets: the tarballs installed by npm in an empty folder, far from the repository.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureGuests, GuestError } from "@vm/guests";
import { examplesOf } from "@vm/presets/readme";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { installTarballs, ROOT, readManifest, run } from "./project.js";
import { CONSUMER, STRICT } from "./strict-project.js";

const folders = ["packages", "apps"]
  .flatMap((floor) => readdirSync(join(ROOT, floor)).map((name) => join(ROOT, floor, name)))
  .filter((folder) => existsSync(join(folder, "package.json")) && !readManifest(folder).private);
const packages = folders.map((folder) => ({ name: readManifest(folder).name, folder }));

/** Null where there is no apt to get them with. */
const guests = await ensureGuests().catch((error: unknown) => {
  if (error instanceof GuestError && error.code === "no-apt") return null;
  throw error;
});

const scratch = mkdtempSync(join(tmpdir(), "vm-tarballs-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));
let project = "";
beforeAll(async () => {
  project = await installTarballs(folders, scratch);
});

const installed = (name: string, file = "."): string => join(project, "node_modules", name, file);

/** A file of the project. */
function file(name: string, text: string): string {
  writeFileSync(join(project, name), text);
  return join(project, name);
}

describe.each(packages)("$name", ({ name, folder }) => {
  const examples = examplesOf(readFileSync(join(folder, "README.md"), "utf8"));

  it("holds licence, changes and README, neither maps nor sources, and depends on versions", () => {
    const files = readdirSync(installed(name), { recursive: true, encoding: "utf8" });
    for (const wanted of ["LICENSE", "CHANGELOG.md", "README.md"]) expect(files).toContain(wanted);
    expect(files.filter((path) => /\.map$|(?<!\.d)\.ts$|\.test\.|^(src|test)$/.test(path))).toEqual([]);
    expect(readFileSync(installed(name, "package.json"), "utf8")).not.toContain("workspace:");
  });

  it("its README links to nothing that is not there", () => {
    const links = [...readFileSync(installed(name, "README.md"), "utf8").matchAll(/\]\(([^)]*)\)/g)];
    expect(links.map(([, to]) => to).filter((to) => !/^(https:|#)/.test(to ?? ""))).toEqual([]);
  });

  const special = ["@vm/kvmi", "@vm/guests"].includes(name);
  it.skipIf(special).each(examples.map((example, index) => ({ ...example, number: index + 1 })))(
    "example $number of its README runs as it stands, and prints what it says",
    async ({ code, prints, number }) => {
      const printed = await run(project, process.execPath, [file(`${name.slice(4)}-${number}.js`, code)]);
      if (prints !== undefined) expect(printed).toBe(prints);
    },
  );
});

it.skipIf(guests === null)("the example of @vm/guests finds the guests", async () => {
  const [example] = examplesOf(readFileSync(installed("@vm/guests", "README.md"), "utf8"));
  expect(await run(project, process.execPath, [file("guests.js", example?.code ?? "")])).toContain(
    `kernel: ${guests?.kernel("6.1")}\n`,
  );
});

it("the example of @vm/kvmi meets a machine of @vm/machine", async () => {
  const [example] = examplesOf(readFileSync(installed("@vm/kvmi", "README.md"), "utf8"));
  const socket = join(scratch, "introspector");
  const tool = spawn(process.execPath, [file("kvmi.js", example?.code ?? "")], {
    cwd: project,
    env: { ...process.env, INTROSPECTOR: socket },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const machine = spawn("node_modules/.bin/vm", ["boot", "--builtin", "--kvmi", socket], {
    cwd: project,
    stdio: ["pipe", "ignore", "ignore"],
  });
  const [line] = (await once(tool.stdout.setEncoding("utf8"), "data")) as [string];
  expect(line).toBe("vm has 1 vCPU\n");
  tool.kill();
  machine.stdin.end("exit\r");
  expect(await once(machine, "exit")).toEqual([0, null]);
});

/** Examples of the guide to plugins that say what they print. */
const guide = [
  ...readFileSync(join(ROOT, "apps/docs/plugins.md"), "utf8").matchAll(
    /^```js\n((?:(?!```).*\n)*)```\n\nprints lines such as\n\n```text\n((?:(?!```).*\n)*)```$/gm,
  ),
].map(([, code = "", lines = ""], k) => ({ number: k + 1, code, lines: lines.trimEnd().split("\n") }));

/** Node 20 knows no `using`. */
function runnable(code: string): string {
  const [using, name] = /await using (\w+) =/.exec(code) ?? [];
  if (using === undefined) return code;
  return `${code.replace(using, `const ${name} =`)}\nawait ${name}[Symbol.asyncDispose]();`;
}

describe("the guide to plugins", () => {
  it("has a device, a tracer, a breakpoint, a virtio device, and MSRs with their bit and leaf of CPUID", () => {
    expect(guide.map(({ code }) => code.includes("@vm/guests"))).toEqual([false, true, true, true, true, false]);
  });

  const possible = guide.filter(({ code }) => guests !== null || !code.includes("@vm/guests"));
  it.each(possible)("example $number prints what it says", async ({ number, code, lines }) => {
    const printed = await run(project, process.execPath, [file(`plugin-${number}.js`, runnable(code))]);
    for (const line of lines)
      expect(
        printed.split(/\r?\n/).some((each) => each.startsWith(line)),
        `${line} in\n${printed}`,
      ).toBe(true);
  });
});

describe("the command line", () => {
  it("npx vm --version is the package's", async () => {
    const { version } = readManifest(installed("@vm/machine"));
    expect(await run(project, "npx", ["--no-install", "vm", "--version"])).toBe(`${version}\n`);
  });

  it("vm boot --builtin --exec runs a command of the built-in guest", async () => {
    expect(await run(project, "npx", ["--no-install", "vm", "boot", "--builtin", "--exec", "echo hello"])).toBe(
      "hello\n",
    );
  });

  it.skipIf(guests === null)("vm boot --exec runs a command in Debian", async () => {
    const args = ["--no-install", "vm", "boot", "--exec", "mkdir /x && uname -s"];
    expect(await run(project, "npx", args)).toBe("Linux\n");
  });
});

it("a strict project without DOM library and without Node's types compiles against all of them", async () => {
  file("consumer.ts", CONSUMER);
  file("tsconfig.json", JSON.stringify(STRICT));
  const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
  const said = await run(project, process.execPath, [tsc, "-p", "."]).catch(({ stdout }: { stdout: string }) => stdout);
  expect(said).toBe("");
});

it("a bundle of decode alone has the decoder alone", async () => {
  const contents = 'export { decode } from "@vm/cpu";';
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: project },
    bundle: true,
    format: "esm",
    write: false,
  });
  const [bundle] = outputFiles;
  expect(bundle?.text).not.toContain("WebAssembly");
  expect(bundle?.text.length).toBeLessThan(40_000);
});
