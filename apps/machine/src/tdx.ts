import { setMaker } from "./makers.js";
import type { TdxOptions, TdxPlugin } from "./td/plugin.js";
import { createTd } from "./td-machine.js";

/**
 * Makes the guest a TD: a software TDX module keeps its memory and registers, and neither the host nor any other plugin can read them. For Linux kernels that can
 * be TDs (CONFIG_INTEL_TDX_GUEST), 1 to 32 processors.
 * @example const machine = await createMachine({ kernel, initrd, plugins: [tdx()] });
 */
export function tdx(options: TdxOptions = {}): TdxPlugin {
  const plugin: TdxPlugin = { name: "tdx", tdx: options, install: () => undefined };
  setMaker(plugin, (machine) => createTd(plugin, machine));
  return plugin;
}
