export { KvmiClient, type RegisterSet, type Registers } from "./client/client.js";
export type { ClientOptions } from "./client/connection.js";
export { DisconnectedError, ProtocolError } from "./client/errors.js";
export type { EventAnswer, EventData, KvmiEvent, VcpuState } from "./client/events.js";
export { whilePaused } from "./client/while-paused.js";
export { LayoutError, type Placed, type Struct, struct, type ValueOf } from "./codec/struct.js";
export * from "./codec/wire.js";
export type { CommandName, Replies, Requests } from "./dialect/commands.js";
export type { CommandSpec, Dialect, DialectRules, EventName, EventSpec, RunsOn } from "./dialect/dialect.js";
export { DIALECTS, DialectIndex, type DialectName } from "./dialect/index.js";
export { commandsOf, VENDOR } from "./dialect/vendor.js";
export { Errno, errnoName, KvmiError, type KvmiErrorCode } from "./errno.js";
export { type EventFilter, parseFilter } from "./filter.js";
export { Btf, btfIn, findBtf, type Member } from "./linux/btf.js";
export { BtfError, GuestOsError, type GuestOsErrorCode, NotStartedError, UnmappedError } from "./linux/errors.js";
export { linux, type OnceOptions, once } from "./linux/find.js";
export { findKallsyms, kallsymsIn, type Symbols } from "./linux/kallsyms.js";
export { LinuxKernel } from "./linux/kernel.js";
export { isLibvmiName, isLibvmiPath, libvmiEntry, systemMap } from "./linux/libvmi.js";
export { matching, nearest } from "./linux/names.js";
export { type Process, processes } from "./linux/processes.js";
export { type Parameter, type Prototype, prototype, type ValueType } from "./linux/prototype.js";
export { GuestReader } from "./linux/reader.js";
export { running, type Task } from "./linux/running.js";
export { decodeText } from "./linux/text.js";
export { finish, inTurns, type Work } from "./linux/work.js";
export {
  type Exception,
  type Interception,
  PageAccess,
  type PageVerdict,
  type Status,
  type VcpuEvents,
  type VcpuPort,
  type Verdict,
  type ViewsPort,
  type VmPort,
} from "./ports.js";
export { cookieHash, type Identity } from "./server/handshake.js";
export { type ReconnectOptions, reconnect } from "./server/reconnect.js";
export { KvmiServer, type KvmiServerOptions } from "./server/server.js";
export { connectTransport, type OnRead, type StreamLike, streamTransport } from "./stream.js";
export { type Transport, type TransportSink, transportPair } from "./transport.js";
export type { Gfn, Gpa } from "./units.js";
