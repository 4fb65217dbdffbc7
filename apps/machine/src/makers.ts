import type { MachineOptions } from "./options.js";
import type { Plugin } from "./plugin.js";
import type { VirtualMachine } from "./virtual-machine.js";

/** Makes the machine of a guest that is started otherwise than others. */
export type Maker = (options: MachineOptions) => Promise<VirtualMachine>;

/** Of the plugins that bring one with them: who does not use such a plugin does not load what it takes to make its machine. */
const makers = new WeakMap<Plugin, Maker>();

export const setMaker = (plugin: Plugin, maker: Maker): void => void makers.set(plugin, maker);

/** Who makes the machine that `plugins` want; undefined if none of them cares. */
export function makerOf(plugins: readonly Plugin[]): Maker | undefined {
  return plugins.map((plugin) => makers.get(plugin)).find((maker) => maker !== undefined);
}
