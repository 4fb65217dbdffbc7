const TIMERS = "nothing here runs when a program has ended";
const NO_DEVICES = "there is no device to send a packet by";
const NO_TYPES = "programs do not get at type information here";

/** Helpers that are not here on purpose, by number, and why: a program that calls one is refused when it is loaded. */
export const REFUSED_HELPERS: ReadonlyMap<number, string> = new Map([
  [13, NO_DEVICES],
  [36, "the memory of the running process can be read from here, and not written"],
  [50, "headers are not moved within a packet"],
  [69, NO_DEVICES],
  [149, NO_TYPES],
  [150, NO_TYPES],
  [167, NO_TYPES],
  [169, TIMERS],
  [170, TIMERS],
  [171, TIMERS],
  [172, TIMERS],
  [180, "the areas of a process's memory are not known here"],
]);
