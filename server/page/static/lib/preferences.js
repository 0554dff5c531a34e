// Preferences of the person, kept by the browser; forgotten with the page where it keeps nothing.

/** @typedef {"language" | "theme" | "model"} PreferenceName */

/** @type {Map<string, string>} */
const fallback = new Map();

/**
 * @param {PreferenceName} name
 * @returns {string | null}
 */
export function preference(name) {
  try {
    return localStorage.getItem(`paddock.${name}`);
  } catch {
    return fallback.get(name) ?? null;
  }
}

/**
 * @param {PreferenceName} name
 * @param {string} value
 */
export function setPreference(name, value) {
  try {
    localStorage.setItem(`paddock.${name}`, value);
  } catch {
    fallback.set(name, value);
  }
}

/** Show the page in the chosen colours: light, dark, or those of the system. */
export function applyTheme() {
  document.documentElement.dataset.theme = preference("theme") ?? "auto";
}
