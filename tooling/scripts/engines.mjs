// `npm run engines -- [ARGS]`: random programs in both engines; the program is the cpu package's.
import { root } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/cpu...");
  become(process.execPath, [`${root}packages/cpu/dist/engines.js`, ...process.argv.slice(2)]);
});
