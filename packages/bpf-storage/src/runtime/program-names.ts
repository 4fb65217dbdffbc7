import { describeSection } from "../object/sections.js";
import { ProgramType } from "../uapi/program-types.js";

/** What kind of program a word names. */
export interface NamedKind {
  readonly type: ProgramType;
  /** `enum bpf_attach_type`. */
  readonly attach: number;
  readonly target: string | null;
  readonly sleepable: boolean;
}

/** Names that bpftool has for kinds whose name in linux/bpf.h is another. */
const OTHERS: Readonly<Record<string, ProgramType>> = {
  socket: ProgramType.SocketFilter,
  classifier: ProgramType.SchedCls,
  action: ProgramType.SchedAct,
};

/**
 * What programs of a kind are attached to that are named without it: what Linux takes for 0, the only thing there is, or the one that allows
 * most.
 */
const DEFAULT_ATTACH: ReadonlyMap<ProgramType, number> = new Map([
  [ProgramType.CgroupSock, 2],
  [ProgramType.CgroupSockAddr, 10],
  [ProgramType.CgroupSockopt, 22],
  [ProgramType.SkReuseport, 39],
  [ProgramType.SkLookup, 36],
  [ProgramType.Netfilter, 45],
]);

/** Words of linux/bpf.h in lower case: `socket_filter`, `sched_cls`. */
const NAMES: ReadonlyMap<string, ProgramType> = new Map([
  ...Object.entries(ProgramType).map(([name, type]): [string, ProgramType] => [
    name.replace(/(?<=.)[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
    type,
  ]),
  ...Object.entries(OTHERS),
]);

/** All names that {@link programKind} knows besides sections. */
export const PROGRAM_KINDS: readonly string[] = [...NAMES.keys()];

/** The kind of program that a word stands for: a name of linux/bpf.h or of bpftool, or a section as of an object (`tp_btf/sched_switch`); null if none. */
export function programKind(word: string): NamedKind | null {
  const plain = word.replace(/^BPF_PROG_TYPE_/, "").toLowerCase();
  const named = NAMES.get(plain);
  if (named !== undefined)
    return {
      ...{ type: named, attach: DEFAULT_ATTACH.get(named) ?? 0, target: null },
      sleepable: named === ProgramType.Syscall,
    };
  const { type, attach, target, sleepable } = describeSection(word);
  return type === null ? null : { type, attach, target, sleepable };
}
