import { at, read, StateError, type StateReader } from "@vm/devices";
import { HEAD_SIZE, PAYLOAD_MAX, TAG_SIZE } from "./agent-abi.js";
import type { FrameReaderState } from "./agent-frames.js";
import type { ExecAgentState } from "./exec-agent.js";
import { COMMAND_MAX, commandFault, type ExecCommand, type RootWords } from "./exec-plan.js";

/** Characters of a word of the kernel command line; three of the longest fit into the agent's memory. */
const WORD_MAX = 16384;
const TYPES_MAX = 4096;
/** Requests that a command or the end of the guest takes: beside some hundred, one for each process that is left. */
const REPLIES_MAX = 101_000;
/** Descriptors that a command leaves open, at most. */
const LEFTOVERS_MAX = 4;
/** What a system call has answered, as a number. */
const result = read.integer(-(2 ** 63), 2 ** 63);
const word = read.text(WORD_MAX);

const root = read.record<RootWords>({
  root: read.nullOr(word),
  types: read.list(word, 0, TYPES_MAX),
  flags: word,
  readonly: read.flag,
  init: word,
});

const frames = read.record<FrameReaderState>({
  tag: read.bytes(TAG_SIZE),
  head: read.bytes(0, HEAD_SIZE),
  data: read.nullOr(read.bytes(0, PAYLOAD_MAX)),
});

const command: StateReader<ExecCommand> = (value, path = "") => {
  const held = read.record<ExecCommand>({ command: read.text(COMMAND_MAX), input: read.flag })(value, path);
  const fault = commandFault(held.command);
  if (fault !== null) throw new StateError(at(path, "command"), fault);
  return held;
};

type Script = NonNullable<ExecAgentState["script"]>;
const script = read.record<Script>({
  origin: read.record<Script["origin"]>({
    from: read.oneOf("initrd", "root", "command", "leave"),
    hello: read.bytes(0, PAYLOAD_MAX),
    command: read.nullOr(command),
  }),
  replies: read.list(read.bytes(0, PAYLOAD_MAX), 0, REPLIES_MAX),
});

const shape = read.record<ExecAgentState>({
  tag: read.bytes(TAG_SIZE),
  root,
  frames,
  hellos: read.oneOf("initrd", "root", "none"),
  asked: read.flag,
  waiting: read.flag,
  leftovers: read.list(result, 0, LEFTOVERS_MAX),
  script: read.nullOr(script),
  input: read.nullOr(read.bytes(0, Number.POSITIVE_INFINITY)),
});

/** What of an agent's host was saved; whether its replies are those to its requests is not looked at. */
export const readAgent: StateReader<ExecAgentState> = (value, path = "") => {
  const state = shape(value, path);
  const { script: held, waiting } = state;
  if (waiting && held !== null)
    throw new StateError(at(path, "waiting"), "is true, expected false while a script runs");
  if (held !== null && (held.origin.from === "command") !== (held.origin.command !== null))
    throw new StateError(at(path, "script.origin"), "is from a command and has none, or has one and is not");
  return state;
};
