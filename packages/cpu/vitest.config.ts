import preset from "@vm/presets/vitest";

/** What can show a difference between the engines, run once more with regions of everything at first sight. */
const WITH_REGIONS = [
  "allocation",
  "blocks",
  "changed-code",
  "code-stores",
  "debug-registers",
  "deciding-hooks",
  "exactness",
  "exception-priority",
  "fault-address",
  "faults",
  "found",
  "hooks",
  "host-look",
  "instruction-hooks",
  "interrupts",
  "memory",
  "multiprocessor",
  "oracle",
  "save/hostile",
  "self-modifying",
  "sse-availability",
  "sse-float",
  "strings",
  "td-initial-state",
  "tlb",
  "vectors",
  "vectors-x87",
  "x87-regions",
  "x87-availability",
  "wide-addresses",
  "xsave-image",
].map((name) => `test/${name}.test.ts`);

// Lists of a project and of what it extends are put together: the files are the projects' own.
const { include, ...common } = preset.test;
const projects = [
  { extends: true, test: { name: "interpreter", include } },
  { extends: true, test: { name: "jit", include: WITH_REGIONS, env: { VM_TEST_ENGINE: "jit" } } },
];

// All tests run in the interpreter and these in both engines; with VM_TEST_ENGINE=jit, all with regions alone.
export default process.env.VM_TEST_ENGINE === "jit" ? preset : { ...preset, test: { ...common, projects } };
