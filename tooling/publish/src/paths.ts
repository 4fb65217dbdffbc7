import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** What is in backticks and can only be files of ours: `src/decode`, `walk.ts`, `test/priority-*.rows.ts`, `helpers/{io,stack}.ts`. */
const MENTION =
  /`((?:[\w@.{},*-]+\/)*[\w@.{},*-]+\.(?:ts|mjs)|(?:src|test|tools|packages|apps|tooling)\/[\w@./{},*-]+)`/g;

/** `a{b,c}d` as `abd` and `acd`. */
function alternatives(path: string): string[] {
  const braces = /^(.*?)\{([^{}]*)\}(.*)$/.exec(path);
  if (braces === null) return [path];
  const [, before = "", inside = "", behind = ""] = braces;
  return inside.split(",").flatMap((one) => alternatives(before + one + behind));
}

/** Whether there is such a file or folder; a `*` stands for any part of a name. */
function exists(folder: string, path: string): boolean {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const parent = join(folder, dirname(path));
  if (!name.includes("*")) return existsSync(join(folder, path));
  const pattern = new RegExp(`^${name.split("*").map(escapeText).join(".*")}$`);
  return existsSync(parent) && readdirSync(parent).some((entry) => pattern.test(entry));
}

const escapeText = (text: string): string => text.replace(/[.@-]/g, "\\$&");

/**
 * A sentence for every file that a document in `files` mentions and that is not there: seen from the document's folder, from the `src` in it, or
 * from `root`.
 */
export function checkPaths(root: string, files: readonly string[]): string[] {
  return files.flatMap((file) => {
    const folder = dirname(file);
    const places = [folder, join(folder, "src"), root];
    return [...readFileSync(file, "utf8").matchAll(MENTION)]
      .flatMap(([, path = ""]) => alternatives(path))
      .filter((path) => !places.some((place) => exists(place, path)))
      .map((path) => `${relative(root, file)} mentions ${path}, which is not there`);
  });
}
