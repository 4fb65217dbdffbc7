// The examples of a README: every ```js block, and what it prints where "prints" and a ```text block follow.

/** @param {string} readme its text */
export function examplesOf(readme) {
  const blocks = readme.matchAll(/^```js\n(.*?)^```$(?:\n\nprints[^\n]*\n\n```text\n(.*?)^```$)?/gms);
  return [...blocks].map(([, code, prints]) => ({ code, prints }));
}

/** For vitest: `import("readme:0")` is the first example of README.md in the folder of the package, run against the sources. */
export const readmeExamples = {
  name: "readme-examples",
  resolveId: (id) => (id.startsWith("readme:") ? `\0${id}` : undefined),
  async load(id) {
    if (!id.startsWith("\0readme:")) return undefined;
    const { readFile } = await import("node:fs/promises");
    return examplesOf(await readFile("README.md", "utf8"))[Number(id.slice("\0readme:".length))].code;
  },
};
