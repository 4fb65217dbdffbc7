import { pathToFileURL } from "node:url";
import type { Entry } from "./entries.js";
import type { Declarations } from "./program.js";

/** A sentence for every value that an entry's declarations promise and its code lacks, and the other way round. */
export async function compareValues(entry: Entry, { checker, module }: Declarations): Promise<string[]> {
  // The type of a module object has its values as properties: neither its types nor what it exports as a type only.
  const declared = new Set(checker.getPropertiesOfType(checker.getTypeOfSymbol(module(entry))).map(({ name }) => name));
  const exported = new Set(Object.keys((await import(pathToFileURL(entry.code).href)) as object));
  return [
    ...[...declared]
      .filter((name) => !exported.has(name))
      .map((name) => `${entry.name}: its declarations export the value ${name}, its code does not`),
    ...[...exported]
      .filter((name) => !declared.has(name))
      .map((name) => `${entry.name}: its code exports ${name}, its declarations do not export such a value`),
  ];
}
