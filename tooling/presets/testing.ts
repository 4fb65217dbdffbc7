// What the tests of several packages share.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { format } from "node:util";
import { examplesOf } from "@vm/presets/readme";
import { expect, it, onTestFinished, vi } from "vitest";

/** A new empty folder, gone when the running test has ended. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "vm-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Runs an example of the package's README against the sources. It runs once in a process. */
export const importExample = (index: number): Promise<unknown> => import(/* @vite-ignore */ `readme:${index}`);

/** The same; what it wrote to console.log and stdout meanwhile. */
export async function runExample(index: number): Promise<string> {
  let printed = "";
  const decoder = new TextDecoder();
  const write = vi.spyOn(process.stdout, "write").mockImplementation((bytes) => {
    printed += typeof bytes === "string" ? bytes : decoder.decode(bytes, { stream: true });
    return true;
  });
  const log = vi.spyOn(console, "log").mockImplementation((...words) => {
    printed += `${format(...words)}\n`;
  });
  try {
    await importExample(index);
  } finally {
    write.mockRestore();
    log.mockRestore();
  }
  return printed;
}

/** A test for every example of the package's README that says what it prints. */
export function testReadme(): void {
  const examples = examplesOf(readFileSync("README.md", "utf8")).map(({ prints }, index) => ({ prints, index }));
  it("the README has an example that says what it prints", () => {
    expect(examples.some(({ prints }) => prints !== undefined)).toBe(true);
  });
  for (const { prints, index } of examples.filter((example) => example.prints !== undefined))
    it(`example ${index + 1} of the README prints what the README says`, async () => {
      expect(await runExample(index)).toBe(prints);
    });
}
