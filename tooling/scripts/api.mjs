// `npm run api`: writes api.md of every published package, the reviewed list of what it exports.
import { prepare } from "./_prepare.mjs";
import { main } from "./_step.mjs";
import { published } from "./_workspace.mjs";

await main(async () => {
  await prepare();
  const { writeReports } = await import("../publish/dist/index.js");
  writeReports(published());
});
