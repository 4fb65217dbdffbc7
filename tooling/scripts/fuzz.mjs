// `npm run fuzz -- [ARGS]`: random instruction streams, see tooling/fuzz/README.md.
import { root } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/fuzz...");
  become(process.execPath, [`${root}tooling/fuzz/dist/cli.js`, ...process.argv.slice(2)]);
});
