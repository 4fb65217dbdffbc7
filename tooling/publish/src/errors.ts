import type ts from "typescript";
import type { Entry } from "./entries.js";
import type { Declarations } from "./program.js";

/** A sentence for every class of errors that an entry exports whose errors cannot be told apart by a `code`. */
export function checkErrors(entry: Entry, { checker, module }: Declarations): string[] {
  const isError = (type: ts.Type): boolean =>
    (type.getBaseTypes() ?? []).some((base) => base.symbol.name === "Error" || isError(base));
  return checker
    .getPropertiesOfType(checker.getTypeOfSymbol(module(entry)))
    .filter((symbol) => {
      const [made] = checker.getTypeOfSymbol(symbol).getConstructSignatures();
      const type = made?.getReturnType();
      return type !== undefined && isError(type) && type.getProperty("code") === undefined;
    })
    .map(({ name }) => `${entry.name}: errors of ${name} have no code to tell them apart by`);
}
