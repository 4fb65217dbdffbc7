export { SoftFloat } from "./sse.js";
export { ALL_MASKED, Flag, PRE_COMPUTATION, Relation, Round } from "./types.js";
