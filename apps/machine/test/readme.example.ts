import { createMachine } from "@vm/machine";

const machine = await createMachine({
  // kernel: await readFile("vmlinuz"), initrd: await readFile("initramfs.cpio"),
  memory: 32 * 2 ** 20,
});
machine.console.onOutput((bytes) => process.stdout.write(bytes));
machine.console.write("echo hello\rexit\r");
const exit = await machine.run();
console.log(exit.reason, machine.stats().exits);
