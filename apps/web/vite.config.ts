import { defineConfig } from "vite";

/** Relative addresses throughout, so that the page works from any folder of any static host. */
export default defineConfig({
  base: "./",
  appType: "mpa",
  clearScreen: false,
  build: { target: "es2022", modulePreload: { polyfill: false }, reportCompressedSize: false },
  worker: { format: "es" },
});
