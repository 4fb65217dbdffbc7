import type { TdReport15 } from "../quote/td-report-body.js";
import type { TdReport } from "./parse.js";

/** What a quoting enclave puts into a quote of a TD's report: the body of version 5, of which version 4 has the first part. */
export function quoteBody({ mac, tcb, td }: TdReport): TdReport15 {
  return {
    teeTcbSvn: tcb.teeTcbSvn,
    mrSeam: tcb.mrSeam,
    mrSignerSeam: tcb.mrSignerSeam,
    seamAttributes: tcb.attributes,
    tdAttributes: td.attributes,
    xfam: td.xfam,
    mrTd: td.mrTd,
    mrConfigId: td.mrConfigId,
    mrOwner: td.mrOwner,
    mrOwnerConfig: td.mrOwnerConfig,
    rtMr0: td.rtMr0,
    rtMr1: td.rtMr1,
    rtMr2: td.rtMr2,
    rtMr3: td.rtMr3,
    reportData: mac.reportData,
    teeTcbSvn2: tcb.teeTcbSvn2,
    mrServiceTd: td.servTdHash,
  };
}
