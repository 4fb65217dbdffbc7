export { SoftFloat } from "./sse.js";
export { Transcendental80 } from "./transcendental.js";
export { ALL_MASKED, Flag, PRE_COMPUTATION, Precision, Relation, Round } from "./types.js";
export { SoftFloat80 } from "./x87.js";
