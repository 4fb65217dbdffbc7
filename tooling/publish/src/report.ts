import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type ts from "typescript";
import { apiReport } from "./api.js";
import { entriesOf } from "./entries.js";
import { checkErrors } from "./errors.js";
import { type Declarations, readDeclarations } from "./program.js";
import { compareValues } from "./values.js";

const HEAD = `# What this package exports

Written by \`npm run api\` from the built declarations, and compared in \`npm run check\`: a change of it is a change of the public API.
`;

const reportPath = (folder: string) => join(folder, "api.md");

function report(folder: string, declarations: Declarations): string {
  const told = new Set<ts.Symbol>();
  return [HEAD, ...entriesOf(folder).map((entry) => apiReport(entry, declarations, told))].join("\n");
}

const read = (folders: readonly string[]) => readDeclarations(folders.flatMap(entriesOf));

/** Writes `api.md` of the built packages in `folders`. */
export function writeReports(folders: readonly string[]): void {
  const declarations = read(folders);
  for (const folder of folders) writeFileSync(reportPath(folder), report(folder, declarations));
}

/** What is wrong with the built packages in `folders`, a sentence each: their values, their errors, and their `api.md`. */
export async function checkApi(folders: readonly string[]): Promise<string[]> {
  const declarations = read(folders);
  const values = await Promise.all(
    folders.flatMap(entriesOf).map(async (entry) => await compareValues(entry, declarations)),
  );
  const stale = folders.filter(
    (folder) =>
      !existsSync(reportPath(folder)) || readFileSync(reportPath(folder), "utf8") !== report(folder, declarations),
  );
  return [
    ...values.flat(),
    ...folders.flatMap(entriesOf).flatMap((entry) => checkErrors(entry, declarations)),
    ...stale.map((folder) => `${reportPath(folder)} is not what the package exports: run npm run api`),
  ];
}
