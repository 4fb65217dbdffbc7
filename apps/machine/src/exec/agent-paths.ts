/** Where the agent lies in the initial ram disk, which names it as the first program (`rdinit=`). */
export const AGENT_IN_INITRD = "/vm-agent";
/** Where it lies from then on, in whatever root the guest ends up in. */
export const AGENT_IN_DEV = "/dev/.vm-agent";
