export { AcpiError, type AcpiErrorCode, type AcpiImage, buildAcpiTables } from "./acpi.js";
export type { AcpiDesc } from "./acpi-desc.js";
export type { AcpiDevice, AcpiUart, AcpiVirtio, DsdtDesc } from "./acpi-dsdt.js";
export type { AcpiGeneration } from "./acpi-generation.js";
export { type AcpiFiles, acpiLoaderFiles } from "./acpi-loader.js";
export type { AcpiPci } from "./acpi-pci.js";
export { AcpiPm, type AcpiPmDesc, type AcpiPmState, PM_PORTS } from "./acpi-pm.js";
export { AmlError, type AmlErrorCode } from "./aml.js";
export {
  ApicBus,
  type ApicFabric,
  type ApicMessage,
  type ApicTarget,
  BROADCAST,
  DeliveryMode,
  type EoiListener,
} from "./apic-bus.js";
export type { ApicTimerMode, ApicTimerState, TscPort } from "./apic-timer.js";
export { BusRangeError, type BusRangeErrorCode, MmioBus, PortBus } from "./bus.js";
export { CmosRtc, type CmosRtcDesc, type CmosRtcState, type WallClock } from "./cmos-rtc.js";
export { DEBUG_EXIT_PORTS, DebugExit, type DebugExitDesc, debugExitStatus } from "./debug-exit.js";
export { DescriptorChain, type Segment } from "./descriptor-chain.js";
export {
  FW_CFG_DMA_PORTS,
  FW_CFG_PORTS,
  FwCfg,
  type FwCfgDesc,
  FwCfgError,
  FwCfgItem,
  type FwCfgState,
} from "./fw-cfg.js";
export { I8254, type I8254Desc, type I8254State, PIT_PORTS } from "./i8254.js";
export type { CounterState } from "./i8254-counter.js";
export { I8259, type I8259State } from "./i8259.js";
export type { InterruptQueueState } from "./interrupt-queue.js";
export { IO_APIC_PINS, IoApic, type IoApicDesc, type IoApicState } from "./io-apic.js";
export {
  KVM_CLOCK_FEATURES,
  KvmClock,
  type KvmClockDesc,
  type KvmClockState,
  MSR_KVM_SYSTEM_TIME,
  MSR_KVM_WALL_CLOCK,
  readKvmClock,
} from "./kvm-clock.js";
export { LocalApic, type LocalSource } from "./local-apic.js";
export type { CpuSignals, LocalApicDesc, LocalApicMode, LocalApicState } from "./local-apic-desc.js";
export {
  Command as PciCommand,
  ConfigSpace,
  type ConfigSpaceState,
  Header as PciHeader,
  type PciIdentity,
} from "./pci/config-space.js";
export type { PciAddress, PciFunction } from "./pci/function.js";
export {
  PCI_PORT,
  PCI_PORTS,
  PCI_RESET_PORT,
  PCI_RESET_VALUE,
  PciHost,
  type PciHostDesc,
  type PciHostState,
} from "./pci/host.js";
export { Ich9Lpc, type Ich9LpcDesc } from "./pci/ich9-lpc.js";
export { ICH9_PM_PORTS, ICH9_S5_TYPE, Ich9Pm } from "./pci/ich9-pm.js";
export { type MemoryBar, MemoryBars } from "./pci/memory-bars.js";
export { decodeMsi, type MsiMessage } from "./pci/msi.js";
export { Msix, type MsixDesc, type MsixState } from "./pci/msix.js";
export { Q35Mch, type Q35MchDesc } from "./pci/q35-mch.js";
export { type PciMemory, type PciRange, type PciWindow, PciWindows, type PciWindowsDesc } from "./pci/windows.js";
export {
  ELCR_PORTS,
  type ExternalInterrupts,
  PIC_LINES,
  PIC_PORTS,
  PicPair,
  type PicPairDesc,
  type PicPairState,
} from "./pic-pair.js";
export type { Clock, GuestMemory, IrqLine, MmioDevice, MmioSize, PortDevice, PortSize, Timer, Turns } from "./ports.js";
export {
  POWER_PORTS,
  POWER_RESET,
  POWER_RESET_VALUE,
  POWER_S5_TYPE,
  POWER_SLEEP_CONTROL,
  POWER_SLEEP_STATUS,
  PowerControl,
  type PowerControlDesc,
} from "./power-control.js";
export { ShutdownPort, type ShutdownPortDesc } from "./shutdown-port.js";
export { at, read, StateError, type StateReader, within } from "./state.js";
export { SystemControlPort, type SystemControlPortDesc } from "./system-control-port.js";
export {
  TEST_DEVICE_MEMORY,
  TEST_DEVICE_PORTS,
  TestDevice,
  type TestDeviceDesc,
  type TestDeviceState,
} from "./test-device.js";
export { Uart16550A } from "./uart16550a.js";
export type { Uart16550ADesc, Uart16550AState } from "./uart16550a-desc.js";
export type { Gfn, Gpa } from "./units.js";
export { type BlockBackend, SECTOR_SIZE, VirtioBlk, type VirtioBlkDesc, type VirtioBlkState } from "./virtio-blk.js";
export { VirtioConsole, type VirtioConsoleDesc, type VirtioConsoleState } from "./virtio-console.js";
export type { VirtioDevice, VirtioHost } from "./virtio-device.js";
export { VIRTIO_MMIO_SIZE, VirtioMmio, type VirtioMmioDesc, type VirtioMmioState } from "./virtio-mmio.js";
export { VirtioPci, type VirtioPciDesc, type VirtioPciState } from "./virtio-pci.js";
export type { VirtioPciVectors } from "./virtio-pci-registers.js";
export { type Entropy, VirtioRng, type VirtioRngDesc } from "./virtio-rng.js";
export type { VirtioTransportState } from "./virtio-transport.js";
export type { VirtqueueState } from "./virtqueue.js";
export { WorkBudget } from "./work-budget.js";
