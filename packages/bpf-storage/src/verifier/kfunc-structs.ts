import type { BtfShape, VerifierBtf } from "./btf-port.js";
import type { Env } from "./env.js";
import type { Kind, Reg } from "./reg.js";

/** Structs of the kernel that pointers of other kinds stand for. */
const STANDS_FOR: Readonly<Partial<Record<Kind, string>>> = {
  sock: "sock",
  sock_common: "sock_common",
  tcp_sock: "tcp_sock",
  map_ptr: "bpf_map",
};

/** The struct that a register points to, also where its kind only stands for one; undefined where it points to none. */
export const structOf = (
  env: Env,
  reg: Reg,
): { readonly btf: VerifierBtf; readonly id: number; readonly name: string } | undefined => {
  if (reg.kind === "ptr_") {
    const shape = reg.btf?.shape(reg.btfId);
    const name = shape?.kind === "struct" || shape?.kind === "union" ? shape.name : "";
    return reg.btf === undefined ? undefined : { btf: reg.btf, id: reg.btfId, name };
  }
  const name = STANDS_FOR[reg.kind];
  const { kernelBtf: btf } = env.request;
  const id = name === undefined ? undefined : btf?.structByName(name);
  return name === undefined || btf === undefined || id === undefined ? undefined : { btf, id, name };
};

/** A type as messages have it: `STRUCT task_struct`. */
export const structText = (shape: BtfShape | undefined): string => {
  switch (shape?.kind) {
    case "struct":
    case "union":
      return `${shape.kind.toUpperCase()} ${shape.name}`;
    case "pointer":
      return "PTR ";
    case "int":
    case "enum":
    case "array":
    case "func":
      return `${shape.kind.toUpperCase()} `;
    default:
      return "UNKNOWN ";
  }
};
