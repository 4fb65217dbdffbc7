export { type CpuidLeaf, DEFAULT_CPUID, type Vcpu, type VcpuHooks } from "@vm/cpu";
export type { BlockBackend, Clock, MmioDevice, PortDevice, Timer } from "@vm/devices";
export type { Mmu } from "@vm/mmu";
export { type BareOptions, createBareMachine } from "./bare.js";
export { BootError, KernelError } from "./boot/error.js";
export type { Unpack } from "./boot/kernel.js";
export type { BootModule } from "./boot/multiboot.js";
export type { ClockMode } from "./clock.js";
export type { MachineConsole } from "./console.js";
export type { ByteStore } from "./disk/byte-store.js";
export type { Disk } from "./disk/disk.js";
export { DiskError, type DiskErrorCode } from "./disk/error.js";
export { type DiskFormat, PROBE_BYTES, probeFormat } from "./disk/format.js";
export { MemoryDisk } from "./disk/memory-disk.js";
export { MemoryStore } from "./disk/memory-store.js";
export { OverlayDisk, type OverlayDiskOptions } from "./disk/overlay-disk.js";
export { createQcow2, type Qcow2CreateOptions } from "./disk/qcow2/create.js";
export { type Backing, Qcow2Disk, type Qcow2Options } from "./disk/qcow2/qcow2-disk.js";
export { RawDisk, type RawDiskOptions } from "./disk/raw-disk.js";
export { dumpRegisters } from "./dump.js";
export type { Disposer } from "./emitter.js";
export { MachineError } from "./error.js";
export { withAgent } from "./exec/agent-archive.js";
export { type Size as WindowDimensions, WindowSize } from "./exec/window-size.js";
export type { MachineExit, VcpuExit } from "./exit.js";
export type { Hook, HookName } from "./hooks.js";
export type { HostUsage } from "./host-usage.js";
export { createMachine, type Machine } from "./machine.js";
export { DEFAULT_COMMAND_LINE, type MachineOptions } from "./options.js";
export type {
  Devices,
  ExitHandler,
  Exits,
  MachineEvents,
  MachineHandle,
  Plugin,
  VcpuHandle,
} from "./plugin.js";
export { type KvmiOptions, kvmi } from "./plugins/kvmi.js";
export type { MemoryBackend } from "./ram.js";
export type { SerialLine } from "./serial-line.js";
export type { ExitName, MachineStats } from "./stats.js";
