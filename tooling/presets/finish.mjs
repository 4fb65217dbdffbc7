// The last step of a package's build, run in its folder: what the bundled declarations lack (declarations.mjs).
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { declareHostTypes, markTypes } from "./declarations.mjs";

const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
const codeOf = new Map(
  Object.values(exports).flatMap(({ types, default: code }) => (types === undefined ? [] : [[resolve(types), code]])),
);
for (const name of readdirSync("dist").filter((name) => name.endsWith(".d.ts"))) {
  const path = resolve(join("dist", name));
  const text = readFileSync(path, "utf8");
  const code = codeOf.get(path);
  const values = code && new Set(Object.keys(await import(pathToFileURL(resolve(code)).href)));
  writeFileSync(path, declareHostTypes(values ? markTypes(text, values) : text));
}
