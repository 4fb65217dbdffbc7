/** Register numbers, and their meaning where reading, writing and DLAB differ. */
export const RBR_THR_DLL = 0;
export const IER_DLM = 1;
export const IIR_FCR = 2;
export const LCR = 3;
export const MCR = 4;
export const LSR = 5;
export const MSR = 6;

export const IER_RX = 1;
export const IER_TX = 2;
export const IER_LINE = 4;
export const IER_MODEM = 8;
export const FCR_ENABLE = 1;
export const FCR_CLEAR_RX = 2;
export const LCR_DLAB = 0x80;
export const MCR_RTS = 2;
export const MCR_OUT2 = 8;
export const MCR_LOOP = 0x10;
export const LSR_DATA = 1;
export const LSR_OVERRUN = 2;
export const LSR_THR_EMPTY = 0x20;
export const LSR_IDLE = 0x40;
