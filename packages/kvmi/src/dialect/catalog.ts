import type { Struct } from "../codec/struct.js";
import { nothing } from "../codec/struct.js";
import type { CommandName, Replies, Requests } from "./commands.js";
import type { CommandSpec, EventName, EventSpec } from "./dialect.js";
import * as L from "./layouts.js";

/** What a command is like, without the number that a dialect gives it. */
type CommandShape = Omit<CommandSpec, "id">;
type EventShape = Omit<EventSpec, "id">;

/** Every command as most dialects have it. */
const COMMANDS: readonly CommandShape[] = [
  vm("getVersion", nothing, L.versionReply),
  vm("checkCommand", L.idRequest),
  vm("checkEvent", L.idRequest),
  vm("getInfo", nothing, L.infoReply),
  vcpu("vcpuGetInfo", nothing, L.vcpuInfoReply),
  { ...vm("pause", L.pauseRequest), vcpuHeader: true },
  vm("vmControlEvents", L.controlEvents),
  vcpu("vcpuControlEvents", L.controlEvents),
  vcpu("controlCr", L.controlCr),
  vcpu("controlMsr", L.controlMsr),
  vcpu("getRegisters", L.getRegisters, L.registersReply),
  vcpu("setRegisters", L.setRegisters),
  vcpu("getCpuid", L.getCpuid, L.cpuidReply),
  vcpu("getXsave", nothing, nothing),
  vm("readPhysical", L.physical, nothing),
  vm("writePhysical", L.physical),
  vcpu("injectException", L.injectException),
  vm("setPageAccess", L.setPageAccess),
  vcpu("getMtrrType", L.gpaRequest, L.mtrrReply),
  vm("controlSpp", nothing),
  vm("setPageWriteBitmap", nothing),
  vm("controlCmdResponse", L.controlCmdResponse),
  vm("getMaxGfn", nothing, L.gfnRequest),
  vm("getNextAvailableGfn", nothing, L.gfnRequest),
  vcpu("setEptView", L.viewRequest),
  vcpu("getEptView", nothing, L.viewRequest),
  vcpu("translateGva", L.gvaRequest, L.gpaRequest),
  vcpu("controlEptView", L.controlEptView),
  vcpu("getXcr", L.getXcr, L.xcrReply),
  vcpu("setXsave", nothing),
  vcpu("allocGfn", L.gfnRequest),
  vcpu("freeGfn", L.gfnRequest),
  vm("createEptView", nothing, L.viewRequest),
  vm("destroyEptView", L.viewRequest),
  vcpu("changeGfn", L.changeGfn),
  vcpu("controlSinglestep", L.switchRequest),
  vm("controlCleanup", L.switchRequest),
  vm("setEventFilter", L.eventFilter),
  vcpu("controlCodeBreakpoint", L.controlCodeBreakpoint),
];

/** Every event as most dialects have it. */
const EVENTS: readonly EventShape[] = [
  event("unhook", nothing, { scope: "vm", reply: null }),
  event("cr", L.crEvent, { reply: L.newValue }),
  event("msr", L.msrEvent, { reply: L.newValue }),
  event("xsetbv", nothing),
  event("breakpoint", L.breakpointEvent, { reply: nothing }),
  event("hypercall", nothing),
  event("pf", L.pfEvent, { reply: L.pfReply }),
  event("trap", L.trapEvent, { reply: nothing, always: true }),
  event("descriptor", L.descriptorEvent, { reply: nothing }),
  event("createVcpu", nothing, { scope: "vm" }),
  event("pause", nothing, { always: true }),
  event("singlestep", L.singlestepEvent, { reply: nothing, always: true }),
  event("cmdError", L.cmdErrorEvent, { scope: "vm", reply: null }),
  event("cpuid", L.cpuidEvent, { reply: nothing }),
];

const commandShapes = new Map(COMMANDS.map((shape) => [shape.name, shape]));
const eventShapes = new Map(EVENTS.map((shape) => [shape.name, shape]));

/** Where a dialect has something else than most. */
type DifferingCommands = {
  readonly [K in CommandName]?: Partial<Pick<CommandSpec<K>, "request" | "reply" | "vcpuHeader">>;
};
type DifferingEvents = Partial<
  Record<EventName, { readonly specific?: Struct<object>; readonly reply?: Struct<object>; readonly always?: boolean }>
>;

/**
 * The commands of a dialect.
 * @param ids their numbers
 * @param differing what is not as in most dialects
 */
export const commands = (
  ids: Partial<Record<CommandName, number>>,
  differing: DifferingCommands = {},
): readonly CommandSpec[] =>
  (Object.keys(ids) as CommandName[]).map(
    (name) => ({ ...commandShapes.get(name), id: ids[name], ...differing[name] }) as CommandSpec,
  );

/** The events of a dialect, as {@link commands}. */
export const events = (
  ids: Partial<Record<EventName, number>>,
  differing: DifferingEvents = {},
): readonly EventSpec[] =>
  (Object.keys(ids) as EventName[]).map(
    (name) => ({ ...eventShapes.get(name), id: ids[name], ...differing[name] }) as EventSpec,
  );

/** A row of the table, checked against what the command means; its request is for the receiver. */
function vm<K extends CommandName>(
  name: K,
  request: Struct<Requests[K]>,
  ...[reply]: K extends keyof Replies ? [Struct<Replies[K]>] : []
): CommandShape {
  return { name, runsOn: "vm", vcpuHeader: false, request, reply: reply ?? null } as unknown as CommandShape;
}

/** The same for a vCPU. */
function vcpu<K extends CommandName>(
  name: K,
  request: Struct<Requests[K]>,
  ...reply: K extends keyof Replies ? [Struct<Replies[K]>] : []
): CommandShape {
  return { ...vm(name, request, ...reply), runsOn: "vcpu", vcpuHeader: true };
}

function event(
  name: EventName,
  specific: Struct<object>,
  options: { scope?: "vm"; reply?: Struct<object> | null; always?: true } = {},
): EventShape {
  const { scope = "vcpu", reply = specific, always = false } = options;
  return { name, scope, specific, reply, always } as EventShape;
}
