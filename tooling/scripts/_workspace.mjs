import { existsSync, readdirSync } from "node:fs";
import { readJson, root } from "./_paths.mjs";

/** Every package of the workspace: its directory (relative to the root), and its manifest. */
export function workspace() {
  return ["packages", "apps", "tooling"].flatMap((floor) =>
    readdirSync(`${root}${floor}`)
      .sort()
      .map((name) => `${floor}/${name}`)
      .filter((dir) => existsSync(`${root}${dir}/package.json`))
      .map((dir) => ({ dir, manifest: readJson(`${root}${dir}/package.json`) })),
  );
}

/** Folders of the packages that are published. */
export const published = () =>
  workspace()
    .filter(({ manifest }) => !manifest.private)
    .map(({ dir }) => root + dir);
