/** Flags of the CLI under test that not every checkout has. */
import { measure } from "./measure.js";
import { vmCli } from "./paths.js";

/** What executes guest code. */
export const ENGINES = ["interpreter", "jit", "auto"] as const;
export type EngineChoice = (typeof ENGINES)[number];

/** Flags that make `vm COMMAND` use an engine; none, and a sentence, where it knows no such flag. */
export async function engineFlags(
  command: "boot" | "run-bare",
  engine: EngineChoice | undefined,
  say: (text: string) => void,
): Promise<readonly string[]> {
  if (engine === undefined) return [];
  const { stdout } = await measure(process.execPath, [...vmCli, command, "--help"]);
  if (/^\s*--engine\b/m.test(stdout)) return ["--engine", engine];
  say(`vm ${command} has no --engine: it runs with what it has`);
  return [];
}
