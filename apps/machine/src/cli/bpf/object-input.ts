import { open, readFile as readWhole } from "node:fs/promises";
import {
  Btf,
  coreTarget,
  decodeInsns,
  type Insn,
  type NamedKind,
  PROGRAM_KINDS,
  programKind,
  type TargetSystem,
} from "@vm/bpf-storage";
import { reason, UsageError } from "../errors.js";
import { parseHex, readInput } from "./hex.js";

/** What programs are fitted to, if nothing else is named: the types of the kernel that runs this. */
const OWN_TYPES = "/sys/kernel/btf/vmlinux";
const TYPES_MOST = 64 << 20;

/** The kernel that objects are fitted to. @param path of its types; without it the host's own, if it has any. @throws {UsageError} */
export async function targetSystem(path: string | undefined): Promise<TargetSystem> {
  const nothing: TargetSystem = { types: null, kconfig: () => undefined, symbol: () => undefined };
  let bytes: Uint8Array;
  try {
    const file = await open(path ?? OWN_TYPES);
    const { size } = await file.stat();
    await file.close();
    if (size > TYPES_MOST) throw new UsageError(`--btf ${path}: ${size} bytes; expected at most ${TYPES_MOST}`);
    bytes = await readWhole(path ?? OWN_TYPES);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    if (path === undefined) return nothing;
    throw new UsageError(`--btf ${path}: ${reason(error)}`);
  }
  return { ...nothing, types: coreTarget(await Btf.parse(bytes)) };
}

/** What `--type` names. @throws {UsageError} */
export function parseKind(word: string): NamedKind {
  const kind = programKind(word);
  if (kind !== null) return kind;
  throw new UsageError(
    `--type ${word}: expected one of ${PROGRAM_KINDS.join(", ")}, or a section such as tp_btf/sched_switch`,
  );
}

/** The instructions on standard input. @throws {UsageError} */
export async function readInsns(): Promise<Insn[]> {
  return decodeInsns(parseHex("the program on standard input", await readInput()));
}
