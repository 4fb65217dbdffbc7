#!/usr/bin/env node
// `npx vm ...` at the root: the CLI, built if need be.
import { cli } from "./_paths.mjs";
import { prepare } from "./_prepare.mjs";
import { become, main } from "./_step.mjs";

await main(async () => {
  await prepare("@vm/machine...");
  become(process.execPath, [...cli, ...process.argv.slice(2)]);
});
