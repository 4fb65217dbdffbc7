import type { Program } from "./program.js";

/** Turns after which a program is small enough. */
const TURNS = 3;

/** Leaves out of `program`, for which `differs` holds, what is not needed for that: instructions, events, cuts, length. */
export function shrink(program: Program, differs: (program: Program) => boolean): Program {
  let current = program;
  const attempt = (made: Program): void => {
    if (differs(made)) current = made;
  };
  attempt({ ...current, cuts: [] });
  attempt({ ...current, events: [] });
  for (let turn = 0; turn < TURNS; turn++) {
    for (let length = current.length >> 1; length > 0; length >>= 1) attempt({ ...current, length });
    for (const cut of current.cuts) attempt({ ...current, cuts: current.cuts.filter((other) => other !== cut) });
    for (const event of current.events)
      attempt({ ...current, events: current.events.filter((other) => other !== event) });
    current.parts.forEach(({ bytes }, k) => {
      if (bytes.length === 0) return;
      // Others refer to parts by number.
      const parts = current.parts.map((part, n) => (n === k ? { ...part, bytes: [], displacements: [] } : part));
      attempt({ ...current, parts });
    });
  }
  return current;
}
