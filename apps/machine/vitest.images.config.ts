import preset from "@vm/presets/vitest";

/** Tests that are not part of the gate: `npm run test:images`. */
export default { ...preset, test: { ...preset.test, include: ["test/images/*.images.ts"], maxWorkers: 1 } };
