import { eachFault } from "./faults.js";
import { SUBJECT_ALTERATIONS } from "./subject-alterations.js";

eachFault("what is quoted", SUBJECT_ALTERATIONS);
