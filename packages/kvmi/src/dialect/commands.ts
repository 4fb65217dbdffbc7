import type { ValueOf } from "../codec/struct.js";
import type * as L from "./layouts.js";

/** What each command asks, whatever the dialect: fields only some dialects have are optional. */
export interface Requests {
  getVersion: object;
  checkCommand: ValueOf<typeof L.idRequest>;
  checkEvent: ValueOf<typeof L.idRequest>;
  getInfo: object;
  vcpuGetInfo: object;
  /** In v12 the vCPU is part of the command; elsewhere of the header before it. */
  pause: { readonly wait: number; readonly vcpu?: number };
  vmControlEvents: ValueOf<typeof L.controlEvents>;
  vcpuControlEvents: ValueOf<typeof L.controlEvents>;
  controlCr: { readonly cr: number; readonly enable: number };
  controlMsr: ValueOf<typeof L.controlMsr>;
  getRegisters: ValueOf<typeof L.getRegisters>;
  setRegisters: ValueOf<typeof L.setRegisters>;
  getCpuid: ValueOf<typeof L.getCpuid>;
  getXsave: object;
  setXsave: object;
  readPhysical: { readonly gpa: bigint; readonly size: bigint | number };
  writePhysical: { readonly gpa: bigint; readonly size: bigint | number };
  injectException: ValueOf<typeof L.injectException>;
  setPageAccess: { readonly view?: number; readonly count: number };
  getMtrrType: ValueOf<typeof L.gpaRequest>;
  controlSpp: object;
  setPageWriteBitmap: object;
  controlCmdResponse: ValueOf<typeof L.controlCmdResponse>;
  getMaxGfn: object;
  getNextAvailableGfn: object;
  setEptView: ValueOf<typeof L.viewRequest>;
  getEptView: object;
  controlEptView: ValueOf<typeof L.controlEptView>;
  createEptView: object;
  destroyEptView: ValueOf<typeof L.viewRequest>;
  changeGfn: ValueOf<typeof L.changeGfn>;
  allocGfn: ValueOf<typeof L.gfnRequest>;
  freeGfn: ValueOf<typeof L.gfnRequest>;
  translateGva: ValueOf<typeof L.gvaRequest>;
  getXcr: ValueOf<typeof L.getXcr>;
  controlSinglestep: ValueOf<typeof L.switchRequest>;
  controlCleanup: ValueOf<typeof L.switchRequest>;
  setEventFilter: ValueOf<typeof L.eventFilter>;
  controlCodeBreakpoint: ValueOf<typeof L.controlCodeBreakpoint>;
}
export type CommandName = keyof Requests;

/** What a successful command answers with. Commands that are not named answer with the error code alone. */
export interface Replies {
  getVersion: { readonly version: number; readonly max_msg_size?: number };
  getInfo: ValueOf<typeof L.infoReply>;
  vcpuGetInfo: ValueOf<typeof L.vcpuInfoReply>;
  getCpuid: ValueOf<typeof L.cpuidReply>;
  getMtrrType: ValueOf<typeof L.mtrrReply>;
  getMaxGfn: ValueOf<typeof L.gfnRequest>;
  getNextAvailableGfn: ValueOf<typeof L.gfnRequest>;
  getEptView: ValueOf<typeof L.viewRequest>;
  createEptView: ValueOf<typeof L.viewRequest>;
  translateGva: ValueOf<typeof L.gpaRequest>;
  getXcr: ValueOf<typeof L.xcrReply>;
  /** Followed by `count` {@link msrEntry}s. */
  getRegisters: {
    readonly mode: number;
    readonly regs: Uint8Array;
    readonly sregs: Uint8Array;
    readonly count: number;
  };
  /** Followed by the bytes. */
  readPhysical: object;
  /** Followed by 4096 bytes in the standard XSAVE layout. */
  getXsave: object;
}
export type ReplyOf<K extends CommandName> = K extends keyof Replies ? Replies[K] : null;
