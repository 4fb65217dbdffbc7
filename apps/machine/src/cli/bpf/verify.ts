import {
  BpfError,
  ObjectError,
  openObject,
  prepareProgram,
  requestOf,
  requestOfKind,
  type TargetSystem,
  type Verdict,
  type VerifyRequest,
  verify as verifyProgram,
} from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printableLines } from "../printable.js";
import { readFile } from "../read-file.js";
import { parseMaps } from "./maps-flag.js";
import { parseKind, readInsns, targetSystem } from "./object-input.js";

export interface VerifyFlags {
  readonly type?: string;
  readonly maps?: string;
  readonly btf?: string;
  readonly program?: string;
  readonly logLevel: string;
  readonly json?: true;
}

/** Status if a program is refused. */
const REJECTED = 1;
const OBJECT_MAX = 64 << 20;
const DEFAULT_KIND = "socket_filter";

interface Answer {
  readonly program: string;
  readonly verdict: "accept" | "reject";
  readonly errno: string | null;
  readonly log: string;
  readonly stats: Verdict["stats"] | null;
}

/** `vm bpf verify`: what Linux would say to a program, or to all of an object. @throws {UsageError} */
export async function verify(path: string, flags: VerifyFlags): Promise<number> {
  if (!/^[012]$/.test(flags.logLevel)) throw new UsageError(`--log-level ${flags.logLevel}: expected 0, 1 or 2`);
  const answers = path === "-" ? [await verifyInput(flags)] : await verifyObject(path, flags);
  if (flags.json) process.stdout.write(`${JSON.stringify(path === "-" ? answers[0] : answers, null, 2)}\n`);
  else
    for (const { program, verdict, errno, log } of answers) {
      const name = path === "-" ? "" : ` ${program}`;
      process.stdout.write(printableLines(`${verdict}${name}${errno === null ? "" : ` ${errno}`}\n${log}`));
    }
  return answers.every(({ verdict }) => verdict === "accept") ? ExitCode.Ok : REJECTED;
}

async function verifyInput(flags: VerifyFlags): Promise<Answer> {
  const kind = parseKind(flags.type ?? DEFAULT_KIND);
  const maps = parseMaps(flags.maps);
  const byFd = new Map(maps.map((map) => [map.fd, map]));
  const { types } = await targetSystem(flags.btf);
  return attempt("-", flags, async () => ({
    ...requestOfKind(kind, types?.kernel ?? null),
    insns: await readInsns(),
    maps: (fd) => byFd.get(fd),
  }));
}

async function verifyObject(path: string, flags: VerifyFlags): Promise<Answer[]> {
  if (flags.maps !== undefined)
    throw new UsageError("--maps is for a program on standard input; an object has its own");
  const { signal } = new AbortController();
  const bytes = await readFile("", path, { most: OBJECT_MAX, signal });
  const system = await targetSystem(flags.btf);
  const context = opened(path, bytes, system);
  const { programs } = context.object;
  const chosen = programs.filter(({ name }) => flags.program === undefined || name === flags.program);
  if (chosen.length === 0)
    throw new UsageError(
      `${path}: no program ${flags.program ?? ""}; there is ${programs.map(({ name }) => name).join(", ")}`,
    );
  const answers: Answer[] = [];
  for (const from of chosen) {
    const kind = flags.type === undefined ? {} : parseKind(flags.type);
    answers.push(
      await attempt(from.name, flags, async () => {
        const { program } = prepareProgram(context, { ...from, ...kind }, system);
        return requestOf({ ...program, program: { ...from, ...kind } }, context);
      }),
    );
  }
  return answers;
}

function opened(path: string, bytes: Uint8Array, system: TargetSystem) {
  try {
    return openObject(bytes, system);
  } catch (error) {
    if (error instanceof ObjectError || error instanceof BpfError) throw new UsageError(`${path}: ${error.message}`);
    throw error;
  }
}

/** What becomes of a program; one that cannot even be loaded is refused with what is said then. */
async function attempt(program: string, flags: VerifyFlags, request: () => Promise<VerifyRequest>): Promise<Answer> {
  try {
    const logLevel = Number(flags.logLevel) as 0 | 1 | 2;
    const { accepted, errno = null, log, stats } = verifyProgram({ ...(await request()), logLevel });
    return { program, verdict: accepted ? "accept" : "reject", errno, log, stats };
  } catch (error) {
    if (!(error instanceof ObjectError || error instanceof BpfError)) throw error;
    const errno = error instanceof BpfError ? error.code : "EINVAL";
    return { program, verdict: "reject", errno, log: `${error.message}\n`, stats: null };
  }
}
