import { nothing } from "../codec/struct.js";
import { commands, events } from "./catalog.js";
import { type Dialect, FIRST_RULES } from "./dialect.js";
import * as L from "./layouts.js";

/** The mailing list's RFC v7 of February 2020: sequential numbers, no views, no reply suppression. */
export const rfc7: Dialect = {
  name: "rfc7",
  rules: FIRST_RULES,
  commandLimit: 24,
  eventLimit: 11,
  commands: commands(
    {
      getVersion: 2,
      checkCommand: 3,
      checkEvent: 4,
      getInfo: 5,
      vmControlEvents: 6,
      readPhysical: 7,
      writePhysical: 8,
      vcpuGetInfo: 9,
      pause: 10,
      vcpuControlEvents: 11,
      getRegisters: 12,
      setRegisters: 13,
      getCpuid: 14,
      controlCr: 15,
      injectException: 16,
      getMaxGfn: 17,
      getXsave: 18,
      getMtrrType: 19,
      controlMsr: 20,
      setPageAccess: 21,
      controlSinglestep: 22,
      translateGva: 23,
    },
    { getVersion: { reply: L.versionReplyPlain }, setPageAccess: { request: L.setPageAccessPlain } },
  ),
  events: events(
    {
      unhook: 0,
      pause: 1,
      hypercall: 2,
      breakpoint: 3,
      cr: 4,
      trap: 5,
      xsetbv: 6,
      descriptor: 7,
      msr: 8,
      pf: 9,
      singlestep: 10,
    },
    { trap: { always: false }, pf: { reply: nothing }, singlestep: { always: false } },
  ),
};
