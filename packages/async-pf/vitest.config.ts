export { default } from "@vm/presets/vitest";
