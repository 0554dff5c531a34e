// Languages: texts of the page by their key, in the language that the browser or the person chose.

import { en } from "../strings/en.js";
import { zh } from "../strings/zh.js";
import { preference, setPreference } from "./preferences.js";

/** @typedef {import("../strings/en.js").Strings} Strings */
/** @typedef {keyof Strings} StringKey */

/** @type {Record<string, Strings>} */
const LANGUAGES = { en, zh };

/**
 * The languages by their code, each named in itself.
 * @type {Record<string, string>}
 */
export const LANGUAGE_NAMES = { en: "English", zh: "中文" };

let current = chosen();

function chosen() {
  const saved = preference("language");
  if (saved && Object.hasOwn(LANGUAGES, saved)) return saved;
  const codes = navigator.languages.map((code) => code.slice(0, 2).toLowerCase());
  return codes.find((code) => Object.hasOwn(LANGUAGES, code)) ?? "en";
}

/** Return the code of the language. */
export function language() {
  return current;
}

/** @param {string} code */
export function setLanguage(code) {
  current = code;
  setPreference("language", code);
}

/**
 * Return a text; `{name}` in it is replaced by the value of that name.
 * @param {StringKey} key
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = LANGUAGES[current]?.[key] ?? en[key];
  return text.replace(/\{(\w+)\}/g, (mark, name) => String(values[name] ?? mark));
}
