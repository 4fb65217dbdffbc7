import ts from "typescript";
import type { Entry } from "./entries.js";
import { ownerOf } from "./owner.js";
import { printDeclaration } from "./print.js";
import type { Declarations } from "./program.js";

/** One declared name of a report, and its lines. */
interface Item {
  readonly name: string;
  readonly lines: string;
}

const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/**
 * What an entry offers, as Markdown: every export and, marked so, what they mention without it being exported; sorted by name, without comments and
 * without what is private. Two builds of the same sources give the same text on any machine.
 *
 * @param told what other entries of the package have told already, to which this adds: it is not told again where it is only mentioned
 */
export function apiReport(entry: Entry, { checker, module }: Declarations, told = new Set<ts.Symbol>()): string {
  const owner = ownerOf(entry.types);
  const values = new Set(checker.getPropertiesOfType(checker.getTypeOfSymbol(module(entry))).map(({ name }) => name));
  const resolve = (symbol: ts.Symbol) =>
    symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
  const items: Item[] = [];
  const imports = new Map<string, Set<string>>();
  const printed = new Set<ts.Symbol>();
  const mentioned: ts.Symbol[] = [];

  const mention = (node: ts.Node): void => {
    const symbol = ts.isIdentifier(node) ? checker.getSymbolAtLocation(node) : undefined;
    const from = symbol?.declarations?.find(ts.isImportSpecifier)?.parent.parent.parent.moduleSpecifier;
    if (symbol !== undefined && from !== undefined && ts.isStringLiteral(from) && !from.text.startsWith("."))
      imports.set(from.text, (imports.get(from.text) ?? new Set()).add(symbol.name));
    else if (symbol !== undefined) mentioned.push(resolve(symbol));
    ts.forEachChild(node, mention);
  };
  const print = (symbol: ts.Symbol, marks: string[]): void => {
    printed.add(symbol);
    const declarations = (symbol.declarations ?? []).map(printDeclaration);
    for (const { node } of declarations) mention(node);
    items.push({ name: symbol.name, lines: [...marks, ...declarations.map(({ text }) => text)].join("\n") });
  };

  for (const symbol of checker.getExportsOfModule(module(entry))) {
    const target = resolve(symbol);
    const type = values.has(symbol.name) ? "" : "type ";
    const from = ownerOf(target.declarations?.[0]?.getSourceFile().fileName ?? entry.types);
    if (from !== owner) items.push({ name: symbol.name, lines: `export { ${type}${symbol.name} } from "${from}";` });
    else print(target, [`export { ${type}${target.name === symbol.name ? "" : `${target.name} as `}${symbol.name} };`]);
  }
  for (let symbol = mentioned.pop(); symbol !== undefined; symbol = mentioned.pop()) {
    const [first] = symbol.declarations ?? [];
    if (first === undefined || printed.has(symbol) || told.has(symbol) || !isTopLevel(first)) continue;
    if (ownerOf(first.getSourceFile().fileName) === owner) print(symbol, ["// not exported"]);
  }

  for (const symbol of printed) told.add(symbol);

  const needed = [...imports].map(([name, names]) => ({
    name,
    lines: `import { ${[...names].sort().join(", ")} } from "${name}";`,
  }));
  const body = [...needed.sort(byName), ...items.sort(byName)].map(({ lines }) => lines).join("\n\n");
  return `## ${entry.name}\n\n\`\`\`ts\n${body}\n\`\`\`\n`;
}

/** Whether a declaration is one of a module itself, not a part of another. */
function isTopLevel(node: ts.Node): boolean {
  const statement = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  // A file itself, which a namespace import names, is in nothing.
  return statement.parent !== undefined && ts.isSourceFile(statement.parent);
}
