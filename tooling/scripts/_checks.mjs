// What is checked besides tests. Each check is a name and a function that returns the complaint, or "" if there is none.
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkManifests } from "../floors/manifests.mjs";
import { inLanes } from "./_lanes.mjs";
import { root } from "./_paths.mjs";
import { bin, toolEnv } from "./_prepare.mjs";
import { capture } from "./_step.mjs";
import { published, workspace } from "./_workspace.mjs";

async function complaint(tool, args, cwd = root) {
  const { status, output } = await capture(`${bin}/${tool}`, args, { cwd, env: toolEnv });
  return status === 0 ? "" : output.trim() || `${tool} ended with status ${status}`;
}

const sources = () => ["packages", "apps", "tooling"].filter((floor) => existsSync(root + floor));

/** publint and are-the-types-wrong on the tarball that would be published. */
async function publishable({ dir, manifest }) {
  const into = mkdtempSync(join(tmpdir(), "vm-pack-"));
  try {
    const packed = await complaint("pnpm", ["pack", "--pack-destination", into], root + dir);
    if (packed !== "") return packed;
    const tarball = join(into, readdirSync(into)[0]);
    const found = await Promise.all([
      complaint("publint", ["run", "--strict", tarball]),
      complaint("attw", [tarball, "--profile", "esm-only", "--no-emoji", "--format", "ascii"]),
    ]);
    return found
      .filter((text) => text !== "")
      .map((text) => `${manifest.name}\n${text}`)
      .join("\n");
  } finally {
    rmSync(into, { recursive: true });
  }
}

async function publishableAll() {
  const complaints = [];
  for (const pkg of workspace()) if (!pkg.manifest.private) complaints.push(await publishable(pkg));
  return complaints.filter((text) => text !== "").join("\n");
}

/** Values that declarations promise against those that code exports, and the reviewed api.md files. */
async function api() {
  const { checkApi } = await import(`${root}tooling/publish/dist/index.js`);
  return (await checkApi(published())).join("\n");
}

/** Files that READMEs and docs mention. */
async function documents() {
  const { checkPaths } = await import(`${root}tooling/publish/dist/index.js`);
  const docs = readdirSync(`${root}apps/docs`, { recursive: true }).map((name) => `apps/docs/${name}`);
  const files = ["README.md", "CONTRIBUTING.md", ...docs, ...workspace().map(({ dir }) => `${dir}/README.md`)];
  const present = files.filter((file) => file.endsWith(".md") && existsSync(root + file));
  return checkPaths(
    root,
    present.map((file) => root + file),
  ).join("\n");
}

/** Who may import whom, and how long a file may be. */
async function houseRules() {
  // It reads the sources with TypeScript, which a fresh clone has only by now.
  const { checkRooms } = await import("../floors/rooms.mjs");
  const imports = await complaint("depcruise", ["--config", "tooling/floors/rules.mjs", ...sources()]);
  return [checkManifests(workspace()), checkRooms(root, workspace()), imports].filter(Boolean).join("\n");
}

/** The slowest first: two run at a time. */
const checks = [
  ["types", () => complaint("tsc", ["-p", "tooling/presets/workspace.json"])],
  // Of a page, with the DOM, against what is built.
  ["types of the page", () => complaint("tsc", ["-p", "apps/web"])],
  ["package contents", publishableAll],
  ["floors", houseRules],
  ["api", api],
  ["documents", documents],
  ["format and lint", () => complaint("biome", ["ci", "--colors=off", "."])],
];

/** Runs all checks; `done` hears of each one that ends: its name, its complaint, the seconds it took. */
export async function runChecks(done) {
  await inLanes(checks, 2, async ([name, check]) => {
    const began = Date.now();
    const text = await check();
    done(name, text, Math.round((Date.now() - began) / 1000));
  });
}
