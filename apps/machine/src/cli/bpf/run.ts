import {
  BpfError,
  type BpfMap,
  type BpfProgram,
  type BpfRuntime,
  dumpMap,
  isPerCpu,
  loadInsns,
  loadInto,
  makeContext,
  ObjectError,
  type ProgramType,
  RingbufMap,
  requestOfKind,
  StorageMap,
  VerifierError,
} from "@vm/bpf-storage";
import { UsageError } from "../errors.js";
import { ExitCode } from "../exit-code.js";
import { printableLines } from "../printable.js";
import { readFile } from "../read-file.js";
import { say } from "../report.js";
import { makeMaps } from "./flag-maps.js";
import { parseMaps } from "./maps-flag.js";
import { parseKind, readInsns, targetSystem } from "./object-input.js";
import { oneTask, PID } from "./one-task.js";

export interface RunFlags {
  readonly type?: string;
  readonly maps?: string;
  readonly btf?: string;
  readonly program?: string;
  readonly data?: string;
  readonly repeat: string;
  readonly engine: "jit" | "interpreter";
  readonly json?: true;
}

/** Status of a program that is refused, or ended with a fault. */
const FAILED = 1;
const OBJECT_MAX = 64 << 20;
const DATA_MAX = 16 << 20;
const REPEAT_MOST = 1_000_000_000;
const DEFAULT_KIND = "socket_filter";

/** What is to be run, and where. */
interface Ready {
  readonly runtime: BpfRuntime;
  readonly program: BpfProgram;
  readonly type: ProgramType;
  readonly maps: readonly (readonly [name: string, map: BpfMap])[];
  /** The cell of the task that the program runs in. */
  readonly cell: number;
}

/** `vm bpf run`: verifies a program, runs it, and shows what it returns and what is in its maps. @throws {UsageError} */
export async function run(path: string, flags: RunFlags): Promise<number> {
  const repeat = Number(flags.repeat);
  if (!(Number.isInteger(repeat) && repeat >= 1 && repeat <= REPEAT_MOST))
    throw new UsageError(`--repeat ${flags.repeat}: expected a number from 1 to ${REPEAT_MOST}`);
  const { signal } = new AbortController();
  const data =
    flags.data === undefined ? new Uint8Array(64) : await readFile("--data", flags.data, { most: DATA_MAX, signal });
  try {
    const ready = path === "-" ? await readyInput(flags) : await readyObject(path, flags);
    return execute(ready, data, repeat, flags.json === true);
  } catch (error) {
    if (error instanceof VerifierError) say(`${error.message}\n${printableLines(error.log)}`);
    else if (error instanceof BpfError || error instanceof ObjectError) say(error.message);
    else throw error;
    return FAILED;
  }
}

function execute(
  { runtime, program, type, maps, cell }: Ready,
  data: Uint8Array,
  repeat: number,
  json: boolean,
): number {
  const context = makeContext(runtime.arena, type, data);
  for (let k = 0; k < repeat && program.fault === null; k++) program.run(context.address);
  const r0 = `0x${program.result.toString(16)}`;
  if (program.fault !== null) {
    say(`the program ended with a ${program.fault.kind} fault at instruction ${program.fault.pc}`);
    return FAILED;
  }
  const shown = Object.fromEntries(maps.map(([name, map]) => [name, contents(runtime, map, cell)]));
  const told = { r0, runs: program.runs, maps: shown };
  if (json) process.stdout.write(`${JSON.stringify(told, null, 2)}\n`);
  else {
    process.stdout.write(`r0 ${r0}\n`);
    for (const [name, elements] of Object.entries(shown))
      process.stdout.write(printableLines(`${name} ${JSON.stringify(elements)}\n`));
  }
  return ExitCode.Ok;
}

/** Bytes as bpftool has them in JSON. */
const hexBytes = (bytes: Uint8Array): string[] =>
  Array.from(bytes, (byte) => `0x${byte.toString(16).padStart(2, "0")}`);

/** What is in a map: elements by key, records of a ring, or what the task has in a storage. */
function contents({ arena }: BpfRuntime, map: BpfMap, cell: number): unknown[] {
  if (map instanceof RingbufMap) return [...map.consume()].map((record) => ({ record: hexBytes(record) }));
  if (map instanceof StorageMap) {
    const value = map.valueOf(cell);
    return value === 0 ? [] : [{ pid: PID, value: hexBytes(arena.read(value, map.desc.valueSize)) }];
  }
  const perCpu = isPerCpu(map.desc.type);
  return [...dumpMap(map)].map(({ key, values }) => ({
    key: hexBytes(key),
    ...(perCpu
      ? { values: values.map((value, cpu) => ({ cpu, value: hexBytes(value) })) }
      : { value: hexBytes(values[0] ?? new Uint8Array()) }),
  }));
}

async function readyInput(flags: RunFlags): Promise<Ready> {
  const kind = parseKind(flags.type ?? DEFAULT_KIND);
  const { types } = await targetSystem(flags.btf);
  const { runtime, cell } = oneTask(flags.engine);
  const maps = makeMaps(runtime, parseMaps(flags.maps));
  const program = loadInsns(runtime, {
    ...requestOfKind(kind, types?.kernel ?? null),
    ...{ name: "-", insns: await readInsns() },
    map: (fd) => maps.find((each) => each.fd === fd)?.map,
    maps: (fd) => maps.find((each) => each.fd === fd)?.flag,
  });
  return { runtime, program, type: kind.type, cell, maps: maps.map(({ flag, map }) => [flag.name, map] as const) };
}

async function readyObject(path: string, flags: RunFlags): Promise<Ready> {
  if (flags.maps !== undefined)
    throw new UsageError("--maps is for a program on standard input; an object has its own");
  const { signal } = new AbortController();
  const bytes = await readFile("", path, { most: OBJECT_MAX, signal });
  const { runtime, cell } = oneTask(flags.engine);
  const loaded = loadInto(runtime, bytes, await targetSystem(flags.btf));
  const { programs } = loaded;
  const [chosen] = programs.filter(({ from }) => flags.program === undefined || from.name === flags.program);
  if (chosen === undefined)
    throw new UsageError(
      `${path}: no program ${flags.program ?? ""}; there is ${programs.map(({ from }) => from.name).join(", ")}`,
    );
  return { runtime, cell, program: chosen.program, type: chosen.program.desc.type, maps: [...loaded.maps] };
}
