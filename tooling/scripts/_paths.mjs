import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The repository's root, with a slash at its end. */
export const root = fileURLToPath(new URL("../../", import.meta.url));

export const readJson = (path) => JSON.parse(readFileSync(path, "utf8"));

/** The CLI as built. */
export const cli = `${root}apps/machine/dist/cli.js`;
