import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { guestCacheDir } from "@vm/guests";

export const ROOT = join(import.meta.dirname, "../../..");
const exec = promisify(execFile);

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
}

export const readManifest = (folder: string): Manifest =>
  JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;

/** What children see: nothing of the package manager that runs the tests, and the guests that are there already. */
const env = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.toLowerCase().startsWith("npm_"))),
  VM_CACHE_DIR: dirname(guestCacheDir()),
};

/** Runs a program; what it wrote to stdout. @throws with its output if it fails */
export async function run(cwd: string, program: string, args: readonly string[], more = {}): Promise<string> {
  const { stdout } = await exec(program, args, { cwd, env: { ...env, ...more }, maxBuffer: 2 ** 26 });
  return stdout;
}

/** The folder of what a package in `folder` depends on, wherever the package manager has put it. */
function dependency(folder: string, name: string): string {
  for (let at = realpathSync(folder); at !== dirname(at); at = dirname(at))
    if (existsSync(join(at, "node_modules", name))) return realpathSync(join(at, "node_modules", name));
  throw new Error(`${folder} depends on ${name}, which is not installed`);
}

/** Everything that packages of others bring, by name: all that the packages in `folders` depend on and do not contain. */
function foreign(folders: readonly string[], found = new Map<string, string>()): Map<string, string> {
  for (const folder of folders)
    for (const name of Object.keys(readManifest(folder).dependencies ?? {})) {
      if (name.startsWith("@vm/") || found.has(name)) continue;
      found.set(name, dependency(folder, name));
      foreign([dependency(folder, name)], found);
    }
  return found;
}

const tarballOf = ({ name, version }: Manifest): string => `${name.replace("@", "").replace("/", "-")}-${version}.tgz`;

/** Packs an installed package as it is. npm would ask its manifest how, which is for its authors: some cannot be packed from what is installed. */
async function tar(folder: string, to: string): Promise<void> {
  const stage = `${to}.stage`;
  cpSync(folder, join(stage, "package"), { recursive: true, dereference: true });
  await run(stage, "tar", ["-czf", to, "package"]);
  rmSync(stage, { recursive: true });
}

/**
 * Packs the packages in `folders` as they would be published, and what they need of others as it is installed here, and installs the tarballs
 * with npm into a project below `scratch`, without asking a registry. Returns the project's folder.
 */
export async function installTarballs(folders: readonly string[], scratch: string): Promise<string> {
  const [tarballs, project] = [join(scratch, "tarballs"), join(scratch, "project")];
  for (const folder of [tarballs, project]) mkdirSync(folder);
  const pnpm = join(ROOT, "node_modules/.bin/pnpm");
  const packed = [
    ...folders.map((folder) => run(folder, pnpm, ["pack", "--pack-destination", tarballs])),
    ...[...foreign(folders).values()].map((folder) => tar(folder, join(tarballs, tarballOf(readManifest(folder))))),
  ];
  await Promise.all(packed);
  const manifests = [...folders, ...foreign(folders).values()].map(readManifest);
  const dependencies = Object.fromEntries(
    manifests.map((manifest) => [manifest.name, `file:${tarballs}/${tarballOf(manifest)}`]),
  );
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", private: true, dependencies }));
  await run(project, "npm", ["install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund"]);
  return project;
}
