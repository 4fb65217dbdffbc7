// The last step of a package's build, run in its folder: what an entry's code does not export, its declarations export as a type.
import { readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { markTypes } from "./mark-types.mjs";

const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
for (const { types, default: code } of Object.values(exports).filter(({ types }) => types !== undefined)) {
  const values = new Set(Object.keys(await import(pathToFileURL(resolve(code)).href)));
  const text = readFileSync(types, "utf8");
  const marked = markTypes(text, values);
  if (marked !== text) writeFileSync(types, marked);
}
