import preset from "@vm/presets/vitest";

/** Against what is built, as a page is: the packages by their manifests, and the page itself in a browser. */
export default { ...preset, resolve: {} };
