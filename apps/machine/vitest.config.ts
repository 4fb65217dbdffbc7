import preset from "@vm/presets/vitest";

/** What runs guests in ways that can show a difference between the engines, once more with regions of everything at first sight. */
const WITH_REGIONS = [
  "disk-determinism",
  "kvmi/code-breakpoints",
  "kvmi/function-trace",
  "kvmi/fuzz",
  "kvmi/limits",
  "kvmi/others",
  "kvmi/pages",
  "kvmi/selftest",
  "machine",
  "plugins",
  "run-loop",
].map((name) => `test/${name}.test.ts`);

// Lists of a project and of what it extends are put together: the files are the projects' own.
const { include, ...common } = preset.test;
const projects = [
  { extends: true, test: { name: "auto", include } },
  { extends: true, test: { name: "jit", include: WITH_REGIONS, env: { VM_TEST_ENGINE: "jit" } } },
];

// All tests run with the engine that users have and these with both; with VM_TEST_ENGINE set, all with that alone.
export default process.env.VM_TEST_ENGINE === undefined ? { ...preset, test: { ...common, projects } } : preset;
