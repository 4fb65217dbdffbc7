import { MAX_PAYLOAD, PAGE } from "../codec/wire.js";
import * as L from "../dialect/layouts.js";
import { Errno } from "../errno.js";
import { PageAccess, type Status } from "../ports.js";
import { bytesOf } from "../slab.js";
import type { Gpa } from "../units.js";
import { answer, type Call, CLOSE, DATA, LATER, type Outcome, switched, type VmHandler } from "./call.js";

/** KVMI_VERSION. */
const VERSION = 1;

/** Why an id cannot be used: not in the tables, or not allowed. */
function checkId({ dialect }: Call, id: number, limit: number, known: boolean, allowed: boolean): Status {
  const beyond = !known && (dialect.rules.unknownId === "ENOENT" || id >= limit);
  if (beyond) return Errno[dialect.rules.unknownId];
  return allowed ? 0 : Errno.EPERM;
}

/** A range within one page as numbers; null if it is none. */
function range(gpa: bigint, size: bigint | number): { gpa: Gpa; size: number } | null {
  const bytes = Number(size);
  const offset = Number(gpa & BigInt(PAGE - 1));
  return bytes >= 1 && bytes <= PAGE && offset + bytes <= PAGE ? { gpa: Number(gpa), size: bytes } : null;
}

/** Beyond this no memory can be, and numbers are not exact. */
const MAX_GPA = 2n ** 52n;

const readPhysical: VmHandler<"readPhysical"> = ({ session, request }) => {
  const at = range(request.gpa, request.size);
  if (at === null) return Errno.EINVAL;
  if (request.gpa >= MAX_GPA) return Errno.ENOENT;
  if (!session.reaches(at.gpa, at.size)) return LATER;
  const reply = session.replyWith(at.size);
  return session.vm.readPhysical(at.gpa, bytesOf(reply).subarray(DATA)) ? reply : Errno.ENOENT;
};

const writePhysical: VmHandler<"writePhysical"> = ({ session, request, message, tail }) => {
  if (BigInt(message.size - tail) < BigInt(request.size)) return CLOSE;
  const at = range(request.gpa, request.size);
  if (at === null) return Errno.EINVAL;
  if (request.gpa >= MAX_GPA) return Errno.ENOENT;
  if (!session.reaches(at.gpa, at.size)) return LATER;
  return session.vm.writePhysical(at.gpa, message.payload.subarray(tail, tail + at.size)) ? 0 : Errno.ENOENT;
};

const setPageAccess: VmHandler<"setPageAccess"> = ({ session, request, message, tail }) => {
  const { vm } = session;
  const { view = 0, count } = request;
  const entry = L.pageAccessEntry;
  if (message.size < tail + count * entry.size) return Errno.EINVAL;
  if (view !== 0 && vm.views === null) return Errno.EOPNOTSUPP;
  if (view !== 0 && !vm.views?.exists(view)) return Errno.EINVAL;
  let status: Status = 0;
  for (let k = 0; k < count; k++) {
    const at = tail + k * entry.size;
    const { gpa, access } = entry.read(message.view, at);
    const valid = access <= PageAccess.All && entry.clean(message.view, at) && gpa < MAX_GPA;
    // All entries are tried; the first error is the answer.
    const one = valid ? vm.setPageAccess(view, Math.floor(Number(gpa) / PAGE), access) : Errno.EINVAL;
    status ||= one;
  }
  return status;
};

const pause: VmHandler<"pause"> = (call) => {
  const { session, request, message, dialect, spec } = call;
  const { rules } = dialect;
  // The header's padding is judged as that of any vCPU command.
  if (spec.vcpuHeader && message.view.getUint32(4, true) + message.view.getUint16(2, true) !== 0) return CLOSE;
  if (switched(call, request.wait) === null) return Errno.EINVAL;
  const event = session.index.eventNamed("pause");
  if (event === undefined || !session.masks.event(event.id))
    return rules.pauseForbidden === "close" ? CLOSE : Errno.EPERM;
  const vcpu = session.vcpus[request.vcpu ?? message.view.getUint16(0, true)];
  if (vcpu === undefined) return Errno.EINVAL;
  if (!vcpu.pause()) return Errno.EBUSY;
  // The reply goes first; both before the guest runs on.
  session.afterReply(() => vcpu.port.kick());
  return 0;
};

const controlCmdResponse: VmHandler<"controlCmdResponse"> = ({ session, spec, message, request }) => {
  if (!spec.request.clean(message.view, 0)) return CLOSE;
  session.silence = request.enable !== 0 ? null : { withEvent: (request.flags & 1) !== 0 };
  return 0;
};

const vmControlEvents: VmHandler<"vmControlEvents"> = (call) => {
  const { session, request } = call;
  const on = switched(call, request.enable);
  const spec = session.index.event(request.event_id);
  if (on === null || spec === undefined || spec.scope !== "vm") return Errno.EINVAL;
  if (!session.masks.event(spec.id)) return Errno.EPERM;
  if (on) session.vmEvents.add(spec.name);
  else session.vmEvents.delete(spec.name);
  return 0;
};

const setEventFilter: VmHandler<"setEventFilter"> = ({ session, request }) => {
  const { flags, events, cr3, rip_from: from, rip_to: to, value_mask: mask, value_equals: equals } = request;
  if (flags > 15) return Errno.EINVAL;
  const named = session.index.dialect.events.filter(({ id }) => (events >>> id) & 1).map(({ name }) => name);
  session.toolFilter =
    flags === 0
      ? null
      : {
          cr3: flags & 1 ? cr3 : undefined,
          rip: flags & 2 ? { from, to } : undefined,
          value: flags & 4 ? { mask, equals } : undefined,
          events: flags & 8 ? named : undefined,
        };
  return 0;
};

const destroyEptView: VmHandler<"destroyEptView"> = ({ session: { vm }, request }) => {
  if (vm.views === null) return Errno.EOPNOTSUPP;
  return request.view !== 0 && vm.views.destroy(request.view) ? 0 : Errno.EINVAL;
};

const createEptView: VmHandler<"createEptView"> = (call) => {
  const { views } = call.session.vm;
  if (views === null) return Errno.EOPNOTSUPP;
  const view = views.create();
  return view === null ? Errno.ENOMEM : answer(call, { view });
};

const unsupported = (): Outcome => Errno.EOPNOTSUPP;

/** Commands the receiving side carries out at once. */
export const VM_HANDLERS = {
  getVersion: ((call) => {
    const { vm } = call.session;
    const features = {
      spp: 0,
      vmfunc: 0,
      eptp: vm.views === null ? 0 : 1,
      ve: 0,
      singlestep: Number(vm.features.singlestep),
    };
    return answer(call, { version: VERSION, max_msg_size: MAX_PAYLOAD, ...features });
  }) satisfies VmHandler<"getVersion">,
  checkCommand: ((call) => {
    const { session, request, dialect } = call;
    const known = session.index.command(request.id) !== undefined;
    return checkId(call, request.id, dialect.commandLimit, known, session.masks.command(request.id));
  }) satisfies VmHandler<"checkCommand">,
  checkEvent: ((call) => {
    const { session, request, dialect } = call;
    const known = session.index.event(request.id) !== undefined;
    return checkId(call, request.id, dialect.eventLimit, known, session.masks.event(request.id));
  }) satisfies VmHandler<"checkEvent">,
  getInfo: ((call) => answer(call, { vcpu_count: call.session.vcpus.length })) satisfies VmHandler<"getInfo">,
  getMaxGfn: ((call) => answer(call, { gfn: BigInt(call.session.vm.maxGfn()) })) satisfies VmHandler<"getMaxGfn">,
  getNextAvailableGfn: ((call) =>
    answer(call, { gfn: BigInt(call.session.vm.nextAvailableGfn()) })) satisfies VmHandler<"getNextAvailableGfn">,
  controlCleanup: ((call) => {
    const on = switched(call, call.request.enable);
    if (on === null) return Errno.EINVAL;
    call.session.cleanup = on;
    return 0;
  }) satisfies VmHandler<"controlCleanup">,
  controlSpp: unsupported,
  setPageWriteBitmap: unsupported,
  readPhysical,
  writePhysical,
  setPageAccess,
  pause,
  controlCmdResponse,
  vmControlEvents,
  setEventFilter,
  createEptView,
  destroyEptView,
};
