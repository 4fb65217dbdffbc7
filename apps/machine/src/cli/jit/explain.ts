import { writeFile } from "node:fs/promises";
import { boot } from "../boot.js";
import { reason, UsageError } from "../errors.js";
import type { BootFlags } from "../flags.js";
import { runBare } from "../run-bare.js";
import { parseAddress } from "./address.js";
import { CodeWatch } from "./code-watch.js";
import { explanationJson } from "./explanation-json.js";
import { explanationText, shown } from "./explanation-text.js";
import { wasmText } from "./wasm-text.js";

/** The flags of `vm jit explain`: those of `vm boot`, and its own. */
export interface ExplainFlags extends BootFlags {
  /** An image as `vm run-bare` runs it, instead of a kernel. */
  readonly bare?: string;
  readonly module?: readonly string[];
  readonly json?: true;
  /** False with --no-wasm. */
  readonly wasm: boolean;
  readonly output?: string;
}

/** Flags of `vm boot` that mean nothing to an image without an operating system. */
const BOOT_ONLY = [
  "kernel",
  "initrd",
  "builtin",
  "exec",
  "disk",
  "lockdep",
  "legacyDevices",
  "pci",
  "asyncPf",
  "kvmi",
  "bpf",
] as const;

/** `vm jit explain`: runs a machine to its end, and then tells what became of the code at an address. @throws {UsageError} before anything has started */
export async function explain(text: string, flags: ExplainFlags): Promise<number> {
  const watch = new CodeWatch(parseAddress(text));
  checkFlags(flags);
  const { bare, output } = flags;
  const status = bare === undefined ? await boot(flags, [watch]) : await runBare(bare, flags, [watch]);
  const explanation = watch.explain();
  const texts = new Map<number, string>();
  if (flags.wasm)
    for (const { number, wasm } of flags.json ? explanation.regions : shown(explanation.regions))
      texts.set(number, await wasmText(wasm()));
  const told = flags.json ? explanationJson(explanation, texts) : explanationText(explanation, texts, watch.mapped);
  if (output === undefined) await write(told);
  else
    await writeFile(output, told).catch((error: unknown) => {
      throw new UsageError(`--output ${output}: ${reason(error)}`);
    });
  return status;
}

/** @throws {UsageError} for what cannot go together */
function checkFlags(flags: ExplainFlags): void {
  if (flags.engine === "interpreter")
    throw new UsageError("--engine interpreter makes no regions, so there is nothing to explain");
  if (flags.bare === undefined) {
    if (flags.module !== undefined) throw new UsageError("--module needs --bare");
    return;
  }
  const other = BOOT_ONLY.find((name) => flags[name] !== undefined);
  if (other !== undefined)
    throw new UsageError(`--${other === "legacyDevices" ? "legacy-devices" : other} is not for --bare`);
}

/** On stdout; resolves when it has been taken: the program ends then. */
const write = (text: string): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(text, () => resolve());
  });
