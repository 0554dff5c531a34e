// Errors as a person reads them.

import { ApiError } from "../api/client.js";
import { t } from "./i18n.js";

/**
 * Return the sentence of an error: the server's own where it sent one.
 * @param {unknown} error
 * @returns {string}
 */
export function errorText(error) {
  if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
  if (error.message) return error.message;
  if (error.status === 0) return t("unreachable");
  // Refused origins and hosts get an empty body.
  return error.status === 403 ? t("addressRefused") : t("refused", { status: error.status });
}
