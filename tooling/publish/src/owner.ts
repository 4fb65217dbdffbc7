import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Name of the package that a file belongs to; "" if it is in none. */
export function ownerOf(file: string): string {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    const manifest = join(folder, "package.json");
    if (existsSync(manifest)) return (JSON.parse(readFileSync(manifest, "utf8")) as { name: string }).name;
  }
  return "";
}
