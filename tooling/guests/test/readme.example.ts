import { ensureGuests } from "@vm/guests";

const guests = await ensureGuests({ onProgress: ({ step }) => console.error(step) });
console.log("kernel:", guests.kernel("6.1"));
console.log("initramfs:", guests.initrd("6.1"));
