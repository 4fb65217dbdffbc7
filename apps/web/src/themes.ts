import type { ITheme } from "@xterm/xterm";

const dark: ITheme = {
  background: "#101616",
  foreground: "#d5dddb",
  cursor: "#5fd0b5",
  cursorAccent: "#101616",
  selectionBackground: "#2f4f49",
  black: "#1d2626",
  red: "#f0827a",
  green: "#7fcf8f",
  yellow: "#e0c070",
  blue: "#7fb4f0",
  magenta: "#cf9be8",
  cyan: "#6fd0cf",
  white: "#c5cecc",
  brightBlack: "#7b8a88",
  brightRed: "#ff9d95",
  brightGreen: "#9fe3ab",
  brightYellow: "#f2d691",
  brightBlue: "#a3cbfa",
  brightMagenta: "#e0b8f5",
  brightCyan: "#95e6e4",
  brightWhite: "#f2f6f5",
};

const light: ITheme = {
  background: "#fbfcfb",
  foreground: "#1e2a28",
  cursor: "#0f766a",
  cursorAccent: "#fbfcfb",
  selectionBackground: "#bfe3da",
  black: "#1e2a28",
  red: "#b3261e",
  green: "#1d7a35",
  yellow: "#85600a",
  blue: "#1f5fb0",
  magenta: "#8a3ba8",
  cyan: "#0b7276",
  white: "#5f6d6a",
  brightBlack: "#697673",
  brightRed: "#c7362d",
  brightGreen: "#26863f",
  brightYellow: "#8f6a12",
  brightBlue: "#2c6fc4",
  brightMagenta: "#9a4cb8",
  brightCyan: "#147e82",
  brightWhite: "#2c3937",
};

/** The terminal's colours by day and by night. */
export const themeFor = (isDark: boolean): ITheme => (isDark ? dark : light);
