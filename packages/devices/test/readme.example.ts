import { ApicBus, type Clock, IoApic, LocalApic, PortBus, Uart16550A } from "@vm/devices";

const clock: Clock = { now: () => 0, schedule: () => ({ cancel() {} }) };
const cpu = { interrupt: () => console.log("interrupt!"), nmi() {}, init() {}, sipi() {} };
const bus = new ApicBus();
const apic = new LocalApic({ id: 0, bootstrap: true, bus, clock, tsc: { tscToNs: (ticks) => ticks }, cpu });
const ioApic = new IoApic({ bus });
bus.attach(apic);
bus.attachIoApic(ioApic);
const uart = new Uart16550A({
  irq: ioApic.line(4),
  onTransmit: (byte) => process.stdout.write(String.fromCharCode(byte)),
});
const ports = new PortBus();
ports.attach(0x3f8, 8, uart);

for (const char of "hello\n") ports.write(0x3f8, 1, char.charCodeAt(0));
