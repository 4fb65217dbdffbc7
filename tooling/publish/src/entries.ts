import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What `import "@vm/machine/node"` finds: an entry of a package's `exports`. */
export interface Entry {
  /** As it is imported: `@vm/machine/node`. */
  readonly name: string;
  /** Path of its declaration file. */
  readonly types: string;
  /** Path of its code. */
  readonly code: string;
}

interface Manifest {
  readonly name: string;
  readonly exports?: Readonly<Record<string, string | { readonly types?: string; readonly default?: string }>>;
}

/** The entries of the package in `folder` that have declarations and code, in the manifest's order. */
export function entriesOf(folder: string): Entry[] {
  const { name, exports = {} } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
  return Object.entries(exports).flatMap(([path, target]) => {
    if (typeof target === "string" || target.types === undefined || target.default === undefined) return [];
    return [{ name: name + path.slice(1), types: join(folder, target.types), code: join(folder, target.default) }];
  });
}
