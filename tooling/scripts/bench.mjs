// `npm run bench -- ARGS`: see tooling/bench/README.md.
import { root } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/machine...", "@vm/guests...", "@vm/bench...");
  become(process.execPath, [`${root}tooling/bench/dist/cli.js`, ...process.argv.slice(2)]);
});
