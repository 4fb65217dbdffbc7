import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { guestCacheDir } from "@vm/guests";

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** Arguments of `node` for the CLI under test, as built: those of `npm start` and `npx vm`. */
export const vmCli: readonly string[] = ["--max-semi-space-size=1", join(repository, "apps/machine/dist/cli.js")];
/** Sources of the benchmark programs. */
export const kernelSources: string = join(repository, "tooling/bench/kernels");
/** Where built programs and instruction counts are kept. */
export const benchCache: string = join(guestCacheDir(), "../bench");
