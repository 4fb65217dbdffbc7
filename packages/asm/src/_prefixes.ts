/** Instructions that take LOCK when they write memory (SDM vol. 2, LOCK). */
export const LOCKABLE: ReadonlySet<string> = new Set(
  "add adc and btc btr bts cmpxchg cmpxchg8b cmpxchg16b dec inc neg not or sbb sub xor xadd xchg".split(" "),
);

/** Instructions that take REP, REPE or REPNE (SDM vol. 2, REP). */
export const REPEATABLE: ReadonlySet<string> = new Set(
  ["movs", "cmps", "stos", "lods", "scas", "ins", "outs"].flatMap((name) =>
    ["b", "w", "d", "q"].map((size) => name + size),
  ),
);
