// The floors of the house, lowest first. A package may import packages of lower floors only, never one of its own floor.
export const floors = [
  ["wasm", "asm", "lockdep"],
  ["cpu", "mmu", "devices", "guests", "kvmi", "tdx", "async-pf", "linux", "vdso-timens", "bpf-storage"],
  ["machine"],
  ["web"],
];

/** Directory of a package below the root. */
export const directory = (name) => (["machine", "web"].includes(name) ? `apps/${name}` : `packages/${name}`);
