import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { guestCacheDir } from "@vm/guests";

const repository = fileURLToPath(new URL("../../../", import.meta.url));

/** The CLI under test, as built. */
export const vmCli: string = join(repository, "apps/machine/dist/cli.js");
/** Sources of the benchmark programs. */
export const kernelSources: string = join(repository, "tooling/bench/kernels");
/** Where built programs and instruction counts are kept. */
export const benchCache: string = join(guestCacheDir(), "../bench");
