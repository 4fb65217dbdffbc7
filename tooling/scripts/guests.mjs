// Fetches the guests and prints where they are, as JSON.
import { root } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/guests...");
  become(process.execPath, [`${root}packages/guests/dist/cli.js`, ...process.argv.slice(2)]);
});
