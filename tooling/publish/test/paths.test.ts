import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@vm/presets/testing";
import { expect, it } from "vitest";
import { checkPaths } from "../src/index.js";

it("names the files that a document mentions and that are not there", () => {
  const root = temporaryFolder();
  mkdirSync(join(root, "packages/a/src/b"), { recursive: true });
  for (const name of ["x-one.ts", "y.ts"]) writeFileSync(join(root, "packages/a/src/b", name), "");
  const file = join(root, "packages/a/README.md");
  writeFileSync(
    file,
    "`src/b/x-*.ts` `b/y.ts` `src/b` `packages/a/src/b/{x-one,y}.ts` `arch/x86/mmu.c` `Vcpu.run` `src/b/{y,z}.ts` `fpu.ts` `src/b/z*.ts` `src/c`",
  );
  expect(checkPaths(root, [file])).toEqual(
    ["src/b/z.ts", "fpu.ts", "src/b/z*.ts", "src/c"].map(
      (path) => `packages/a/README.md mentions ${path}, which is not there`,
    ),
  );
});
