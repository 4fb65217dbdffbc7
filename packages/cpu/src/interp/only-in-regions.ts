/** What a context of the interpreter has in place of what only regions have: no row of its own asks for it. */
export const onlyInRegions = (): never => {
  throw new Error("what only regions have, in a row of the interpreter");
};
