import { DOCUMENT_ALTERATIONS } from "./document-alterations.js";
import { eachFault } from "./faults.js";

eachFault("the signed documents", DOCUMENT_ALTERATIONS);
