import { Vector } from "./constants.js";
import type { Vcpu } from "./vcpu.js";
export function executeOutside(vcpu: Vcpu, _op: number, _record: number): boolean { return vcpu.raise(Vector.UD); }
