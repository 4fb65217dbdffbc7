export { LayoutError, type Placed, type Struct, struct, type ValueOf } from "./codec/struct.js";
export * from "./codec/wire.js";
export type { CommandName, Replies, Requests } from "./dialect/commands.js";
export type { CommandSpec, Dialect, DialectRules, EventName, EventSpec, RunsOn } from "./dialect/dialect.js";
export { DIALECTS, DialectIndex, type DialectName } from "./dialect/index.js";
export { Errno, errnoName, KvmiError } from "./errno.js";
