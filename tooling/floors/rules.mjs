// dependency-cruiser rules: imports go downward only, through each package's index, declared in its manifest.
import { fileURLToPath } from "node:url";
import { directory, floors } from "./floors.mjs";

const anyOf = (names) => `^(${names.map(directory).join("|")})/`;

const upward = floors.flatMap((names, floor) => {
  const above = floors.slice(floor + 1).flat();
  if (above.length === 0) return [];
  return [
    {
      name: `floor-${floor + 1}-goes-downward-only`,
      comment: "An import goes downward only (tooling/floors/floors.mjs).",
      severity: "error",
      from: { path: anyOf(names) },
      to: { path: anyOf(above) },
    },
  ];
});

const sideways = floors.map((names, floor) => ({
  name: `floor-${floor + 1}-keeps-to-itself`,
  comment: "Packages on one floor never import each other: declare a port of your own, apps/machine connects it.",
  severity: "error",
  from: { path: `^(${names.map(directory).join("|")})/` },
  to: { path: anyOf(names), pathNot: "^$1/" },
}));

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    ...upward,
    ...sideways,
    {
      name: "known-floor",
      comment: "Every package has its place in tooling/floors/floors.mjs.",
      severity: "error",
      from: { path: "^(packages|apps)/", pathNot: anyOf(floors.flat()) },
      to: {},
    },
    {
      name: "through-the-index",
      comment: "What a package does not export is private; only the fuzzer goes behind its doors.",
      severity: "error",
      from: { path: "^((?:packages|apps|tooling)/[^/]+)/", pathNot: "^tooling/fuzz/src/doors/" },
      to: { path: "^(packages|apps|tooling)/[^/]+/src/", pathNot: ["^$1/", "/src/(browser|index|node)\\.ts$"] },
    },
    {
      name: "by-name",
      comment: "A package is imported by its name, not by a path into its folder.",
      severity: "error",
      from: { path: "^((?:packages|apps)/[^/]+)/" },
      to: { path: "^(packages|apps|tooling)/", pathNot: "^$1/", dependencyTypesNot: ["aliased"] },
    },
    {
      name: "no-circles",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
    { name: "resolvable", severity: "error", from: {}, to: { couldNotResolve: true } },
    {
      name: "declared",
      comment: "What is imported stands in the package's own manifest.",
      severity: "error",
      from: { path: "^(packages|apps)/[^/]+/src/" },
      to: {
        dependencyTypes: ["npm-no-pkg", "npm-unknown", "npm-dev"],
        dependencyTypesNot: ["type-only"],
        pathNot: "^(packages|apps)/",
      },
    },
  ],
  options: {
    doNotFollow: { path: ["node_modules", "/dist/"] },
    exclude: { path: ["/dist/", "/coverage/", "/\\.turbo/"] },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: fileURLToPath(new URL("tsconfig.json", import.meta.url)) },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "types", "node", "default"],
      mainFields: ["module", "main", "types"],
    },
  },
};
