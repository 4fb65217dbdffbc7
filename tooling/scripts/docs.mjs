// `npm run docs`: writes the tables of the READMEs that are made from the code (test/docs.test.ts of a package; its tests compare them).
import { existsSync } from "node:fs";
import { join } from "node:path";
import { root } from "./_paths.mjs";
import { bin, install } from "./_prepare.mjs";
import { main, step } from "./_step.mjs";
import { workspace } from "./_workspace.mjs";

await main(async () => {
  await install();
  for (const { dir, manifest } of workspace())
    if (existsSync(join(root, dir, "test/docs.test.ts")))
      await step(`writing the tables of ${manifest.name}`, `${bin}/vitest`, ["run", "-u", "test/docs.test.ts"], {
        cwd: join(root, dir),
      });
});
