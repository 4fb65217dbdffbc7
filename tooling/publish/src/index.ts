export { checkApi, writeReports } from "./report.js";
