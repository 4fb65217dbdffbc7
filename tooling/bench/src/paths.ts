import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { guestCacheDir } from "@vm/guests";

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** Arguments of `node` for the CLI of a checkout, as built: those of `npm start` and `npx vm`. */
export const cliOf = (checkout: string): readonly string[] => [
  "--max-semi-space-size=1",
  join(checkout, "apps/machine/dist/cli.js"),
];
/** The same for the CLI under test. */
export const vmCli: readonly string[] = cliOf(repository);
/** Sources of the benchmark programs. */
export const kernelSources: string = join(repository, "tooling/bench/kernels");
/** Where built programs and instruction counts are kept. */
export const benchCache: string = join(guestCacheDir(), "../bench");
/** Sources of what real programs are given to do. */
export const programSources: string = join(repository, "tooling/bench/programs");
/** What is served to the browser beside the page of this repository, and the script that watches that. */
export const pageSources: string = join(repository, "tooling/bench/page");
