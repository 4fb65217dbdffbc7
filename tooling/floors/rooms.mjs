// The rooms of the house: a folder of a package's sources is a room. What is said here holds for imports of types as well, which no engine
// follows, but every reader does.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import ts from "typescript";
import { circles } from "./circles.mjs";

/** Files that may import each other in a circle, within one room. */
const MAX_CIRCLE = 10;
const MAX_LINES = 350;
/** Longer files that are nothing but a table, and what of. */
const TABLES = new Map([["packages/wasm/src/ops.ts", "the instructions of WebAssembly"]]);

const sources = (root, src) =>
  readdirSync(join(root, src), { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(src, name).replaceAll("\\", "/"));

/** By file, the files of the same package that it imports, for their types or not. */
function importsOf(root, files) {
  const known = new Set(files);
  return new Map(
    files.map((file) => {
      const { importedFiles } = ts.preProcessFile(readFileSync(join(root, file), "utf8"), true, true);
      const imported = importedFiles
        .filter(({ fileName }) => fileName.startsWith("."))
        .map(({ fileName }) => join(dirname(file), fileName).replaceAll("\\", "/").replace(/\.js$/, ".ts"));
      return [file, [...new Set(imported)].filter((name) => known.has(name))];
    }),
  );
}

/** Whether one of two folders lies in the other: what is inside serves, or is put together by, what is around it. */
const nested = (a, b) => `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);

/** By room, the rooms beside it that its files import, with an import as the example. */
function roomsOf(imports) {
  const rooms = new Map();
  for (const [file, imported] of imports)
    for (const other of imported) {
      const [from, to] = [dirname(file), dirname(other)];
      if (nested(from, to)) continue;
      if (!rooms.has(from)) rooms.set(from, new Map());
      if (!rooms.get(from).has(to)) rooms.get(from).set(to, `${file} -> ${other}`);
    }
  return rooms;
}

const inside = (imports, files) =>
  files.flatMap((file) => imports.get(file).flatMap((other) => (files.includes(other) ? [`${file} -> ${other}`] : [])));

function checkPackage(root, dir) {
  const files = sources(root, `${dir}/src`);
  const imports = importsOf(root, files);
  const complaints = [];
  for (const files of circles(imports)) {
    const rooms = new Set(files.map((file) => dirname(file)));
    const why = inside(imports, files).join("\n    ");
    if (rooms.size > 1)
      complaints.push(
        `${files.length} files of ${rooms.size} rooms import each other in a circle; accepted are circles within one folder. Say what is needed as an interface in the lower room:\n    ${why}`,
      );
    else if (files.length > MAX_CIRCLE)
      complaints.push(
        `${files.length} files of ${[...rooms]} import each other in a circle; accepted are ${MAX_CIRCLE}:\n    ${why}`,
      );
  }
  const rooms = roomsOf(imports);
  for (const circle of circles(new Map([...rooms].map(([room, others]) => [room, [...others.keys()]])))) {
    const why = circle.flatMap((room) =>
      [...(rooms.get(room) ?? [])].filter(([other]) => circle.includes(other)).map(([, example]) => example),
    );
    complaints.push(
      `the rooms ${circle.join(", ")} import each other in a circle; accepted are rooms that import in one direction, and a folder and those inside it. Some of the imports:\n    ${why.join("\n    ")}`,
    );
  }
  for (const file of files) {
    const lines = readFileSync(join(root, file), "utf8").split("\n").length - 1;
    if (lines > MAX_LINES && !TABLES.has(file))
      complaints.push(
        `${file} has ${lines} lines; accepted are ${MAX_LINES}, or a table that tooling/floors/rooms.mjs names`,
      );
  }
  return complaints;
}

/** What is wrong with circles of imports and lengths of files, a paragraph each; "" if nothing is. */
export function checkRooms(root, packages) {
  return packages
    .filter(({ dir }) => readdirSync(join(root, dir)).includes("src"))
    .flatMap(({ dir }) => checkPackage(root, dir))
    .join("\n");
}
