import ts from "typescript";

const printer = ts.createPrinter({ removeComments: true, newLine: ts.NewLineKind.LineFeed });

/** Whether only the class itself can use a member. That a constructor is private is of interest to others. */
function isPrivate(node: ts.Node): boolean {
  if (ts.isPropertyDeclaration(node) && ts.isPrivateIdentifier(node.name)) return true;
  return (
    ts.isClassElement(node) &&
    !ts.isConstructorDeclaration(node) &&
    (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Private) !== 0
  );
}

/** Drops private members and the words `export` and `declare`. */
const publicPart: ts.TransformerFactory<ts.Node> = (context) => {
  const visit = (node: ts.Node): ts.Node | undefined => {
    if (isPrivate(node)) return undefined;
    if (node.kind === ts.SyntaxKind.DeclareKeyword || node.kind === ts.SyntaxKind.ExportKeyword) return undefined;
    return ts.visitEachChild(node, visit, context);
  };
  return (node) => visit(node) ?? node;
};

/** A top-level declaration without comments, and the node that was printed. */
export function printDeclaration(declaration: ts.Declaration): { text: string; node: ts.Node } {
  const whole = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration;
  const { transformed } = ts.transform(whole, [publicPart]);
  const node = transformed[0] ?? whole;
  const text = printer.printNode(ts.EmitHint.Unspecified, node, declaration.getSourceFile());
  return { node: whole, text: text.replace(/^( {4})+/gm, (indent) => indent.slice(indent.length / 2)) };
}
