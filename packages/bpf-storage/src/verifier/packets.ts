import type { Env } from "./env.js";
import { unknown } from "./reg.js";

/** Pointers into a packet that may have moved are numbers like any other. */
export const forgetPackets = (env: Env): void => {
  env.state.replace((reg) => (reg.isAnyPacket ? unknown() : undefined));
};
