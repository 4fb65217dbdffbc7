import { errorCode, MAX_PAYLOAD, msrEntry, PAGE } from "../codec/wire.js";
import * as L from "../dialect/layouts.js";
import { Errno } from "../errno.js";
import type { Status } from "../ports.js";
import { bytesOf } from "../slab.js";
import { answer, DATA, switched, type VcpuHandler } from "./call.js";

/** MSRs whose writes can be reported: the two ranges of VMX's bitmaps. */
const controllable = (msr: number): boolean => msr <= 0x1fff || (msr >= 0xc0000000 && msr <= 0xc0001fff);
/** Vectors that are exceptions. */
const EXCEPTIONS = 32;
const NO_GFN = 0xffff_ffff_ffff_ffffn;
const MAX_GFN = 2n ** 40n;

const vcpuControlEvents: VcpuHandler<"vcpuControlEvents"> = (call) => {
  const { session, request, vcpu } = call;
  const on = switched(call, request.enable);
  const spec = session.index.event(request.event_id);
  if (on === null || spec === undefined || spec.scope !== "vcpu") return Errno.EINVAL;
  if (!session.masks.event(spec.id)) return Errno.EPERM;
  return spec.always ? 0 : vcpu.controlEvent(spec.name, on);
};

const getRegisters: VcpuHandler<"getRegisters"> = ({ session, dialect, request, message, tail, vcpu }) => {
  const { nmsrs } = request;
  const { port } = vcpu;
  if (message.size < tail + 4 * nmsrs) return Errno.EINVAL;
  const size = L.registersReply.size + nmsrs * msrEntry.size;
  if (errorCode.size + size > MAX_PAYLOAD) return dialect.rules.strictMsrs ? Errno.EINVAL : Errno.ENOMEM;
  const view = session.replyWith(size);
  view.setUint32(DATA, port.mode(), true);
  port.saveRegs(view, REGS);
  port.saveSregs(view, SREGS);
  view.setUint32(COUNT, nmsrs, true);
  for (let k = 0; k < nmsrs; k++) {
    const index = message.view.getUint32(tail + 4 * k, true);
    const at = MSRS + k * msrEntry.size;
    view.setUint32(at, index, true);
    if (!port.saveMsr(index, view, at + MSR_DATA)) return Errno.EINVAL;
  }
  return view;
};
const REGS = DATA + L.registersReply.offset("regs");
const SREGS = DATA + L.registersReply.offset("sregs");
const COUNT = DATA + L.registersReply.offset("count");
const MSRS = DATA + L.registersReply.size;
const MSR_DATA = msrEntry.offset("data");

const controlCr: VcpuHandler<"controlCr"> = (call) => {
  const { cr } = call.request;
  const on = switched(call, call.request.enable);
  if (on === null || (cr !== 0 && cr !== 3 && cr !== 4)) return Errno.EINVAL;
  call.vcpu.controlCr(cr, on);
  return 0;
};

const controlMsr: VcpuHandler<"controlMsr"> = (call) => {
  const { msr } = call.request;
  const on = switched(call, call.request.enable);
  if (on === null || !controllable(msr)) return Errno.EINVAL;
  call.vcpu.controlMsr(msr, on);
  return 0;
};

const controlSinglestep: VcpuHandler<"controlSinglestep"> = (call) => {
  const on = switched(call, call.request.enable);
  if (on === null) return Errno.EINVAL;
  if (!call.session.vm.features.singlestep) return Errno.EOPNOTSUPP;
  call.vcpu.controlSinglestep(on);
  return 0;
};

const controlCodeBreakpoint: VcpuHandler<"controlCodeBreakpoint"> = (call) => {
  const { gva, enable } = call.request;
  const on = switched(call, enable);
  if (on === null) return Errno.EINVAL;
  return call.vcpu.port.watchCode(gva, on);
};

const injectException: VcpuHandler<"injectException"> = ({ session, dialect, request, vcpu }) => {
  const trap = session.index.eventNamed("trap");
  if (dialect.rules.injectNeedsTrap && (trap === undefined || !session.masks.event(trap.id))) return Errno.EPERM;
  if (request.nr >= EXCEPTIONS) return Errno.EINVAL;
  const { nr, error_code: code, address } = request;
  return vcpu.injectException({ nr, errorCode: code, address }) ? 0 : Errno.EBUSY;
};

const setXsave: VcpuHandler<"setXsave"> = ({ session, message, tail, vcpu }) => {
  if (!session.vm.features.xsave) return Errno.EOPNOTSUPP;
  const size = message.size - tail;
  if (size > PAGE) return Errno.EINVAL;
  const area = new Uint8Array(PAGE);
  if (size > 0) area.set(message.payload.subarray(tail, message.size));
  return vcpu.port.loadXsave(area) ? 0 : Errno.EINVAL;
};

const setEptView: VcpuHandler<"setEptView"> = ({ session: { vm }, request: { view }, vcpu }) => {
  if (vm.views === null) return Errno.EOPNOTSUPP;
  if (view !== 0 && !vm.views.exists(view)) return Errno.EINVAL;
  vcpu.port.view = view;
  return 0;
};

const changeGfn: VcpuHandler<"changeGfn"> = ({ session: { vm }, request, message, tail, vcpu }) => {
  // Older trees send the two numbers alone, for the view in force.
  const old = message.size - (tail - L.changeGfn.size) === L.changeGfnOld.size;
  const { view, old_gfn, new_gfn } = old
    ? { view: vcpu.port.view, ...L.changeGfnOld.read(message.view, tail - L.changeGfn.size) }
    : request;
  if (new_gfn === NO_GFN) return Errno.EPERM;
  if (vm.views === null) return Errno.EOPNOTSUPP;
  if ((view !== 0 && !vm.views.exists(view)) || old_gfn >= MAX_GFN || new_gfn >= MAX_GFN) return Errno.EINVAL;
  return vm.views.changeGfn(view, Number(old_gfn), Number(new_gfn));
};

const frame =
  (what: "allocGfn" | "freeGfn"): VcpuHandler<"allocGfn" | "freeGfn"> =>
  ({ session: { vm }, request: { gfn } }): Status =>
    gfn >= MAX_GFN ? Errno.EINVAL : vm[what](Number(gfn));

/** Commands a vCPU carries out itself at a boundary. */
export const VCPU_HANDLERS = {
  vcpuGetInfo: ((call) =>
    answer(call, { tsc_speed: BigInt(Math.round(call.vcpu.port.tscHz)) })) satisfies VcpuHandler<"vcpuGetInfo">,
  setRegisters: (({ request, vcpu }) =>
    vcpu.setRegisters(request.regs) ? 0 : Errno.EOPNOTSUPP) satisfies VcpuHandler<"setRegisters">,
  getCpuid: (({ session, request, vcpu }) => {
    const reply = session.replyWith(L.cpuidReply.size);
    return vcpu.port.saveCpuid(request.function, request.index, reply, DATA) ? reply : Errno.ENOENT;
  }) satisfies VcpuHandler<"getCpuid">,
  getXsave: (({ session, vcpu }) => {
    if (!session.vm.features.xsave) return Errno.EOPNOTSUPP;
    const reply = session.replyWith(PAGE);
    vcpu.port.saveXsave(bytesOf(reply).subarray(DATA));
    return reply;
  }) satisfies VcpuHandler<"getXsave">,
  getMtrrType: ((call) =>
    answer(call, { type: call.vcpu.port.mtrrType(call.request.gpa) })) satisfies VcpuHandler<"getMtrrType">,
  getEptView: ((call) =>
    call.session.vm.views === null
      ? Errno.EOPNOTSUPP
      : answer(call, { view: call.vcpu.port.view })) satisfies VcpuHandler<"getEptView">,
  controlEptView: (() => Errno.EOPNOTSUPP) satisfies VcpuHandler<"controlEptView">,
  translateGva: ((call) => {
    const gpa = call.vcpu.port.translate(call.request.gva);
    return answer(call, { gpa: gpa === null ? NO_GFN : BigInt(gpa) });
  }) satisfies VcpuHandler<"translateGva">,
  getXcr: ((call) =>
    call.request.xcr === 0
      ? answer(call, { value: call.vcpu.port.xcr0() })
      : Errno.EINVAL) satisfies VcpuHandler<"getXcr">,
  allocGfn: frame("allocGfn"),
  freeGfn: frame("freeGfn"),
  vcpuControlEvents,
  getRegisters,
  controlCr,
  controlMsr,
  controlSinglestep,
  controlCodeBreakpoint,
  injectException,
  setXsave,
  setEptView,
  changeGfn,
};
