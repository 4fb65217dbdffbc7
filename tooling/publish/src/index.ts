export { checkPaths } from "./paths.js";
export { checkApi, writeReports } from "./report.js";
