import type { Env } from "./env.js";
import { Mod, unknown } from "./reg.js";

/** Pointers into a packet that may have moved, slices of it among them, are numbers like any other. */
export const forgetPackets = (env: Env): void => {
  env.state.replace((reg) =>
    reg.isAnyPacket || (reg.kind === "mem" && (reg.mods & Mod.PacketSlice) !== 0) ? unknown() : undefined,
  );
};
