import { basename } from "node:path";
import { BpfError, Btf, loadInTurns, ObjectError, VerifierError } from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printableLines } from "../printable.js";
import { readFile } from "../read-file.js";
import { type Ask, askHere, askMachine } from "./inventory/ask.js";
import { Inventory } from "./inventory/inventory.js";
import type { Query, Subject } from "./inventory/query.js";
import { type Asked, onePlace, parseWords } from "./inventory/words.js";
import { targetSystem } from "./object-input.js";
import { oneTask } from "./one-task.js";
import { readTypes } from "./read-types.js";
import { shown } from "./show/reply.js";
import { typesShown } from "./show/types.js";

export interface LookFlags {
  readonly machine?: string;
  readonly btf?: string;
  readonly json?: true;
}

/** Status if what was looked up is not there. */
const NOT_FOUND = 1;
const OBJECT_MAX = 64 << 20;

/** `vm bpf prog|map|btf|link ...`: what there is in a machine, or would be of an object. @throws {UsageError} */
export async function look(
  subject: Subject,
  command: Query["command"],
  words: readonly string[],
  flags: LookFlags,
): Promise<number> {
  const asked = parseWords(subject, command, words);
  const json = flags.json === true;
  if (asked.file !== null) {
    const { file } = asked;
    if (flags.machine !== undefined) throw new UsageError(`file ${file}: a file is in no machine`);
    const types = await readTypes(file);
    return sensible(`file ${file}`, () => write(typesShown(types, json), ExitCode.Ok));
  }
  onePlace(asked.object, flags.machine);
  const ask = flags.machine === undefined ? await askObject(asked, flags) : askMachine(flags.machine);
  const reply = await ask(asked.query);
  if ("error" in reply) throw new UsageError(String(reply.error));
  const missing = command === "lookup" && "elements" in reply && reply.elements.length === 0;
  return sensible(asked.object ?? `--machine ${flags.machine}`, async () => {
    const pieces =
      "types" in reply ? typesShown(await Btf.parse(base64(reply.types)), json) : shown(reply, asked, json);
    return write(pieces, missing ? NOT_FOUND : ExitCode.Ok);
  });
}

/** Types may lead nowhere, and whatever listens at a socket may answer anything. @throws {UsageError} for what cannot be shown */
async function sensible(where: string, show: () => Promise<number>): Promise<number> {
  try {
    return await show();
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError || error instanceof BpfError)
      throw new UsageError(`${where}: it cannot be shown: ${error.message}`);
    throw error;
  }
}

const base64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, "base64"));

/** Loads an object as vm bpf run does. @throws {UsageError} for what cannot be loaded */
async function askObject({ object }: Asked, flags: LookFlags): Promise<Ask> {
  const path = object ?? "";
  const bytes = await readFile("", path, { most: OBJECT_MAX, signal: new AbortController().signal });
  const { runtime } = oneTask("jit");
  try {
    const loaded = await loadInTurns(runtime, bytes, await targetSystem(flags.btf));
    const loadedAt = Math.floor(Date.now() / 1000);
    return askHere(new Inventory([{ file: basename(path), runtime, loaded, kernel: null, tasks: () => [], loadedAt }]));
  } catch (error) {
    if (error instanceof VerifierError) throw new UsageError(`${path}: ${error.message}\n${printableLines(error.log)}`);
    if (error instanceof BpfError || error instanceof ObjectError) throw new UsageError(`${path}: ${error.message}`);
    throw error;
  }
}

/** Writes text piece by piece; status 141 if nobody reads it. */
async function write(pieces: Iterable<string>, status: number): Promise<number> {
  let broken = false;
  process.stdout.on("error", () => {
    broken = true;
  });
  for (const piece of pieces) {
    await new Promise<void>((resolve) => void process.stdout.write(printableLines(piece), () => resolve()));
    if (broken) return ExitCode.BrokenPipe;
  }
  return status;
}
