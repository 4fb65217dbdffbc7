// The floors as manifests see them: a dependency, development ones included, goes downward as well.
import { floors } from "./floors.mjs";

const floorOf = (name) => floors.findIndex((names) => names.includes(name));

/** What is wrong with the workspace's manifests, a line each; "" if nothing is. Private tooling is outside the house. */
export function checkManifests(packages) {
  const complaints = [];
  for (const { dir, manifest } of packages) {
    if (dir.startsWith("tooling/")) continue;
    const own = floorOf(manifest.name.replace("@vm/", ""));
    if (own < 0) complaints.push(`${manifest.name} has no place in tooling/floors/floors.mjs`);
    for (const kind of ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"])
      for (const name of Object.keys(manifest[kind] ?? {})) {
        const floor = floorOf(name.replace("@vm/", ""));
        if (name.startsWith("@vm/") && floor >= own)
          complaints.push(`${dir}/package.json: ${kind} name ${name}, which is not on a lower floor`);
      }
  }
  return complaints.join("\n");
}
