import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Btf, loadInto } from "@vm/bpf-storage";
import { type Ask, askHere } from "../../src/cli/bpf/inventory/ask.js";
import { Inventory, type LoadedSource } from "../../src/cli/bpf/inventory/inventory.js";
import type { Query, Subject } from "../../src/cli/bpf/inventory/query.js";
import { parseWords } from "../../src/cli/bpf/inventory/words.js";
import { oneTask } from "../../src/cli/bpf/one-task.js";
import { shown } from "../../src/cli/bpf/show/reply.js";
import { typesShown } from "../../src/cli/bpf/show/types.js";

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));

/** Path of a committed object. */
export const objectPath = (name: string): string =>
  pathOf(
    name === "sums" ? "../../../../packages/bpf-storage/test/runtime/programs/sums.bpf.o" : `programs/${name}.bpf.o`,
  );

/** What bpftool has said about values.bpf.o. */
export const recorded = (name: string): string => readFileSync(pathOf(`bpftool/${name}`), "utf8");

/** A committed object, loaded into a system with one task. */
export function loadedSource(name: string, kernel: Btf | null = null): LoadedSource {
  const { runtime } = oneTask("interpreter");
  const loaded = loadInto(runtime, readFileSync(objectPath(name)));
  return { file: `${name}.bpf.o`, runtime, loaded, kernel, tasks: () => [], loadedAt: 1_700_000_000 };
}

/** Asks about objects that are loaded here. */
export const about = (...sources: readonly LoadedSource[]): Ask => askHere(new Inventory(sources));

/** What `vm bpf SUBJECT COMMAND WORDS` prints. @throws {Error} what the answer says is wrong */
export async function printed(
  ask: Ask,
  subject: Subject,
  command: Query["command"],
  words: string,
  json = false,
): Promise<string> {
  const asked = parseWords(subject, command, words === "" ? [] : words.split(" "));
  const reply = await ask(asked.query);
  if ("error" in reply) throw new Error(reply.error);
  const pieces =
    "types" in reply
      ? typesShown(await Btf.parse(new Uint8Array(Buffer.from(reply.types, "base64"))), json)
      : shown(reply, asked, json);
  return [...pieces].join("");
}
