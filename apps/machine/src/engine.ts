/** What executes the guest: the interpreter alone, generated code for everything at first sight, or for what is hot. */
export type Engine = "interpreter" | "jit" | "auto";
