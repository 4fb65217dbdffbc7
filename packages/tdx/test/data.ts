import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { hexToBytes } from "@noble/hashes/utils.js";

const FOLDER = fileURLToPath(new URL("../../../../shared/data/tdx/", import.meta.url));

/** Whether the collection of real quotes, logs and reports is beside the repository. It is not in it. */
export const HAS_DATA = existsSync(FOLDER);

/** To put behind the name of a test that needs the collection. */
export const WITHOUT_DATA = HAS_DATA ? "" : " (skipped: no folder shared/data/tdx beside the repository)";

/** One file of the collection; one that is in hexadecimal, as its bytes. */
export function data(path: string): Uint8Array {
  const bytes = Uint8Array.from(readFileSync(FOLDER + path));
  if (!path.endsWith(".hex")) return bytes;
  return hexToBytes(new TextDecoder().decode(bytes).trim().replace(/^0x/, ""));
}

/** One file of the collection that is text. */
export const dataText = (path: string): string => readFileSync(FOLDER + path, "utf8");
