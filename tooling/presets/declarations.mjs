// What a bundled declaration file needs before it can be published.
import ts from "typescript";

const parse = (text) => ts.createSourceFile("entry.d.ts", text, ts.ScriptTarget.Latest);

/**
 * The text of a declaration file with `type` before every name of its export lists that is not among `values`. A bundled declaration file
 * says `export { Machine }` of a class that the source exports as a type only: TypeScript then accepts `new Machine()`, where JavaScript
 * finds no such export.
 */
export function markTypes(text, values) {
  const file = parse(text);
  const places = file.statements
    .filter((statement) => ts.isExportDeclaration(statement) && !statement.isTypeOnly)
    .flatMap(({ exportClause }) => (exportClause && ts.isNamedExports(exportClause) ? [...exportClause.elements] : []))
    .filter((element) => !element.isTypeOnly && !values.has(element.name.text))
    .map((element) => element.getStart(file));
  return places.reduceRight((marked, at) => `${marked.slice(0, at)}type ${marked.slice(at)}`, text);
}

/** Global types that every host has, but that no ES library of TypeScript declares. */
const HOST_TYPES = {
  AbortSignal: "interface AbortSignal {}",
  ReadableStream: "interface ReadableStream<R = any> {}",
  WritableStream: "interface WritableStream<W = any> {}",
  "WebAssembly.Memory": "namespace WebAssembly { interface Memory {} }",
  "WebAssembly.Table": "namespace WebAssembly { interface Table {} }",
  "WebAssembly.Module": "namespace WebAssembly { interface Module {} }",
};

/** Names of TypeScript libraries that a consumer need not have named, and where they are. */
const LIBRARIES = { AsyncDisposable: "esnext.disposable", asyncDispose: "esnext.disposable" };

/**
 * The text of a declaration file with a reference to each library it needs beyond ES2023, which bundling has dropped, and with an empty declaration of
 * each global type it mentions that only the DOM library or Node's types declare: so it compiles without either, and with them an empty interface
 * adds nothing to theirs.
 */
export function declareHostTypes(text) {
  const file = parse(text);
  const mentioned = new Set();
  const libraries = new Set();
  const visit = (node) => {
    if (ts.isIdentifier(node) && Object.hasOwn(LIBRARIES, node.text)) libraries.add(LIBRARIES[node.text]);
    if (ts.isTypeReferenceNode(node)) mentioned.add(node.typeName.getText(file));
    ts.forEachChild(node, visit);
  };
  visit(file);
  const needed = Object.keys(HOST_TYPES).filter((name) => mentioned.has(name));
  const referring = `${[...libraries].map((name) => `/// <reference lib="${name}" />\n`).join("")}${text}`;
  if (needed.length === 0) return referring;
  return `${referring}\ndeclare global {\n${needed.map((name) => `    ${HOST_TYPES[name]}\n`).join("")}}\n`;
}
