// Tables of a README that are made from the code. `npm run docs` writes them; the tests of the package compare them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

/** Rows as a table of Markdown, columns as wide as their widest cell; the first row is its head. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map((cell) => cell.replaceAll("|", "\\|")));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(3, ...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const [head = [], ...body] = cells;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...body.map(line)].join("\n");
}

/** The text with what stands between the marks of each block replaced. @throws Error that names a block without marks */
export function withBlocks(text: string, blocks: Readonly<Record<string, string>>): string {
  return Object.entries(blocks).reduce((readme, [name, block]) => {
    const marks = new RegExp(`(<!-- ${name}: [^>]*-->\n).*?(\n<!-- end of ${name} -->)`, "s");
    if (!marks.test(readme)) throw new Error(`the README has no <!-- ${name}: ... --> and <!-- end of ${name} -->`);
    return readme.replace(marks, (_, begin: string, end: string) => `${begin}\n${block}\n${end}`);
  }, text);
}

/** A test that the blocks of the package's README are those; with `vitest -u` they are written instead. */
export function testBlocks(blocks: () => Readonly<Record<string, string>>): void {
  it("the tables of the README are those of the code (npm run docs writes them)", async () => {
    const path = join(process.cwd(), "README.md");
    await expect(withBlocks(readFileSync(path, "utf8"), blocks())).toMatchFileSnapshot(path);
  });
}
