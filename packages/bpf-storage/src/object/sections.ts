import type { ProgramType } from "../uapi/program-types.js";
import { SECTION_ROWS } from "./section-table.js";

/** What the name of a section of code says. */
export interface SectionKind {
  /** Its type; null if the name tells none: whoever loads it has to say. */
  readonly type: ProgramType | null;
  /** `enum bpf_attach_type`; 0 is also what programs without one have. */
  readonly attach: number;
  /** What it is attached to: `sched_switch` of `tp_btf/sched_switch`; null if the name does not say. */
  readonly target: string | null;
  /** Whether that is looked up in the kernel's type information before the program is loaded. */
  readonly btfTarget: boolean;
  readonly sleepable: boolean;
  /** Whether packets may have fragments. */
  readonly fragments: boolean;
  /** Not if the name began with `?`. */
  readonly autoload: boolean;
}

/** What the name of a section of code says about its programs: `?fentry.s/f`, `xdp`, `tp/syscalls/sys_enter_open`. */
export function describeSection(name: string): SectionKind {
  const autoload = !name.startsWith("?");
  const plain = autoload ? name : name.slice(1);
  for (const row of SECTION_ROWS) {
    const open = row.name.endsWith("+");
    const prefix = open ? row.name.slice(0, -1) : row.name;
    if (plain !== prefix && !(open && plain.startsWith(`${prefix}/`))) continue;
    return {
      type: row.type,
      attach: row.attach,
      target: plain.length > prefix.length + 1 ? plain.slice(prefix.length + 1) : null,
      btfTarget: row.btfTarget === true,
      sleepable: row.sleepable === true,
      fragments: row.fragments === true,
      autoload,
    };
  }
  return { type: null, attach: 0, target: null, btfTarget: false, sleepable: false, fragments: false, autoload };
}
