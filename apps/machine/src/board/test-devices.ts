import {
  DEBUG_EXIT_PORTS,
  DebugExit,
  FW_CFG_PORTS,
  FwCfg,
  type IrqLine,
  type MmioBus,
  type PortBus,
  ShutdownPort,
  TEST_DEVICE_MEMORY,
  TEST_DEVICE_PORTS,
  TestDevice,
} from "@vm/devices";
import * as L from "../layout.js";
import type { Parts } from "./parts.js";

export interface TestDevicesDesc {
  readonly ports: PortBus;
  readonly mmio: MmioBus;
  /** The interrupt lines that the guest can drive. */
  readonly parts: Parts;
  readonly lines: readonly IrqLine[];
  /** Bytes of RAM. */
  readonly ram: number;
  readonly processors: number;
  readonly onDebugExit: (code: number) => void;
  readonly onPowerOff: () => void;
}

/** Puts the devices of test programs on the board. */
export function attachTestDevices({ parts, ports, mmio, lines, ...desc }: TestDevicesDesc): void {
  const device = parts.add("test-device", new TestDevice({ lines }));
  ports.attach(L.TEST_PORTS, TEST_DEVICE_PORTS, device);
  ports.attach(L.TEST_IRQ_PORTS, lines.length, device.irqPorts);
  mmio.attach(L.TEST_MEMORY, TEST_DEVICE_MEMORY, device);
  ports.attach(L.EXIT_STATUS, DEBUG_EXIT_PORTS, new DebugExit({ onExit: desc.onDebugExit }));
  ports.attach(L.SHUTDOWN_PORT, 1, new ShutdownPort({ onShutdown: desc.onPowerOff }));
  const fwCfg = new FwCfg({ basePort: L.FW_CFG, ram: desc.ram, processors: desc.processors });
  ports.attach(L.FW_CFG, FW_CFG_PORTS, parts.add("fw-cfg", fwCfg));
}
