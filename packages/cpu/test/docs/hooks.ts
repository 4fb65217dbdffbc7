import { readFileSync } from "node:fs";
import { markdownTable } from "@vm/presets/docs";
import ts from "typescript";

const PATH = new URL("../../src/vcpu/context/hooks.ts", import.meta.url);
/** What each result of a hook means. */
const ANSWERS: Readonly<Record<string, string>> = {
  Verdict: "false vetoes",
  boolean: "true: done",
  void: "",
};

/** The hooks as their interface declares and describes them. @throws Error that names one without a description */
export function hookTable(): string {
  const file = ts.createSourceFile("hooks.ts", readFileSync(PATH, "utf8"), ts.ScriptTarget.Latest, true);
  const hooks = file.statements.filter(ts.isInterfaceDeclaration).find(({ name }) => name.text === "VcpuHooks");
  const rows = (hooks?.members ?? ts.factory.createNodeArray()).map((member) => {
    const type = ts.isPropertySignature(member) ? member.type : undefined;
    const [comment] = ts.getJSDocCommentsAndTags(member);
    const text = comment && ts.isJSDoc(comment) ? ts.getTextOfJSDocComment(comment.comment) : undefined;
    const name = member.name?.getText(file) ?? "";
    if (text === undefined || type === undefined || !ts.isFunctionTypeNode(type)) throw new Error(`what is ${name}?`);
    const parameters = type.parameters.map((parameter) => parameter.name.getText(file)).join(", ");
    return [`\`${name}(${parameters})\``, ANSWERS[type.type.getText(file)] ?? "", text.replace(/\s+/g, " ")];
  });
  return markdownTable([["hook", "answer", "when"], ...rows]);
}
