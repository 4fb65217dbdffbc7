import ts from "typescript";
import type { Entry } from "./entries.js";

/** The declarations of some entries as TypeScript reads them, all in one program. */
export interface Declarations {
  readonly checker: ts.TypeChecker;
  /** The module an entry's declaration file is. */
  module(entry: Entry): ts.Symbol;
}

/** @throws Error that names the first declaration file which is missing or no module */
export function readDeclarations(entries: readonly Entry[]): Declarations {
  const program = ts.createProgram(
    entries.map(({ types }) => types),
    {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      skipLibCheck: true,
      noEmit: true,
      types: [],
    },
  );
  const checker = program.getTypeChecker();
  return {
    checker,
    module({ name, types }) {
      const file = program.getSourceFile(types);
      const symbol = file && checker.getSymbolAtLocation(file);
      if (symbol === undefined) throw new Error(`${name}: ${types} is not there, or exports nothing`);
      return symbol;
    },
  };
}
