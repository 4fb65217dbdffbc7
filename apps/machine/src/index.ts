export { type CpuidLeaf, type CpuidResult, DEFAULT_CPUID, type Vcpu, type VcpuHooks, type Verdict } from "@vm/cpu";
export type {
  AcpiDevice,
  BlockBackend,
  Clock,
  DescriptorChain,
  IrqLine,
  MmioDevice,
  PortDevice,
  Timer,
  VirtioDevice,
  VirtioHost,
} from "@vm/devices";
export type { Mmu } from "@vm/mmu";
export { VmClockError, type VmClockErrorCode } from "@vm/vdso-timens";
export { type BareOptions, createBareMachine, MAX_LATE_MS } from "./bare.js";
export type { Additions, CpuidProvider, HypercallProvider, MemoryRange, MsrProvider } from "./board/additions.js";
export type { VirtioFunction, VirtioSlot, VirtioWindow } from "./board/virtio-slots.js";
export { BootError, type BootErrorCode, KernelError, type KernelErrorCode } from "./boot/error.js";
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
export type { Engine } from "./engine.js";
export { MachineError, type MachineErrorCode } from "./error.js";
export { withAgent } from "./exec/agent-archive.js";
export type { ExecOptions, ExecResult, ResumedExecOptions } from "./exec/guest-exec.js";
export { type Size as WindowDimensions, WindowSize } from "./exec/window-size.js";
export type { MachineExit, VcpuExit } from "./exit.js";
export type { ForkOptions } from "./fork.js";
export type { Hook, HookName } from "./hooks.js";
export type { HostUsage } from "./host-usage.js";
export { createMachine, type Machine, type MachineEnd, type SnapshotOptions } from "./machine.js";
export type { MachineShape, MachineSnapshot, MemoryPiece } from "./machine-snapshot.js";
export type { MachineTime } from "./machine-time.js";
export { DEFAULT_COMMAND_LINE, type MachineOptions } from "./options.js";
export type {
  Devices,
  ExitHandler,
  Exits,
  Installed,
  MachineEvents,
  MachineHandle,
  Plugin,
  SavedPart,
} from "./plugin.js";
export { type AttachedBpf, type BpfPluginDesc, type BpfRecord, bpf, type TaskValue } from "./plugins/bpf/plugin.js";
export { type KvmiOptions, kvmi } from "./plugins/kvmi/plugin.js";
export type { MemoryBackend } from "./ram.js";
export type { VcpuRegisters } from "./registers.js";
export type { SerialLine } from "./serial-line.js";
export type { ExitName, MachineStats } from "./stats.js";
export type { TdxCall, TdxOptions, TdxPlugin } from "./td/plugin.js";
export { measureTd, type TdMeasurement } from "./td-image.js";
export { tdx } from "./tdx.js";
export type { VcpuHandle, VcpuState } from "./vcpu-handle.js";
export type { VirtualMemory } from "./virtual-memory.js";
