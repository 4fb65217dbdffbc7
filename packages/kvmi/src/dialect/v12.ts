import { nothing } from "../codec/struct.js";
import { commands, events } from "./catalog.js";
import type { Dialect } from "./dialect.js";
import * as L from "./layouts.js";

/** The mailing list's v12 of October 2021: even numbers for the VM, odd ones for vCPUs. */
export const v12: Dialect = {
  name: "v12",
  rules: {
    eventReplyId: 1,
    vmEventId: 0,
    unknownId: "ENOENT",
    strictSwitches: true,
    strictMsrs: true,
    pauseForbidden: "EPERM",
    injectNeedsTrap: true,
    checkReplies: true,
  },
  commandLimit: 30,
  eventLimit: 20,
  commands: commands(
    {
      getVersion: 2,
      checkCommand: 4,
      checkEvent: 6,
      getInfo: 8,
      vmControlEvents: 10,
      readPhysical: 12,
      writePhysical: 14,
      pause: 16,
      controlCleanup: 18,
      setPageAccess: 20,
      vcpuGetInfo: 3,
      vcpuControlEvents: 5,
      getRegisters: 7,
      setRegisters: 9,
      getCpuid: 11,
      controlCr: 13,
      injectException: 15,
      getXcr: 17,
      getXsave: 19,
      setXsave: 21,
      getMtrrType: 23,
      controlMsr: 25,
      controlSinglestep: 27,
      translateGva: 29,
    },
    {
      getVersion: { reply: L.versionReplyLimit },
      readPhysical: { request: L.physicalShort },
      writePhysical: { request: L.physicalShort },
      pause: { request: L.pauseVcpu, vcpuHeader: false },
      setPageAccess: { request: L.setPageAccessPlain },
      controlCr: { request: L.controlCrByte },
    },
  ),
  events: events(
    {
      unhook: 0,
      pause: 1,
      hypercall: 3,
      breakpoint: 5,
      cr: 7,
      trap: 9,
      xsetbv: 11,
      descriptor: 13,
      msr: 15,
      pf: 17,
      singlestep: 19,
    },
    { cr: { specific: L.crEventByte }, xsetbv: { specific: L.xsetbvEvent, reply: nothing }, pf: { reply: nothing } },
  ),
};
