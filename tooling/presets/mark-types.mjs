import ts from "typescript";

/**
 * The text of a declaration file with `type` before every name of its export lists that is not among `values`. A bundled declaration file
 * says `export { Machine }` of a class that the source exports as a type only: TypeScript then accepts `new Machine()`, where JavaScript
 * finds no such export.
 */
export function markTypes(text, values) {
  const file = ts.createSourceFile("entry.d.ts", text, ts.ScriptTarget.Latest);
  const places = file.statements
    .filter((statement) => ts.isExportDeclaration(statement) && !statement.isTypeOnly)
    .flatMap(({ exportClause }) => (exportClause && ts.isNamedExports(exportClause) ? [...exportClause.elements] : []))
    .filter((element) => !element.isTypeOnly && !values.has(element.name.text))
    .map((element) => element.getStart(file));
  return places.reduceRight((marked, at) => `${marked.slice(0, at)}type ${marked.slice(at)}`, text);
}
