// The page: its frame, its views by their addresses, and what holds for all of them.

import { apiKey, json, setApiKey, setHandlers } from "./api/client.js";
import { isAnswering } from "./chat/answer.js";
import { chatView } from "./chat/view.js";
import { entered, iconButton, notify } from "./lib/dialog.js";
import { fill, h } from "./lib/dom.js";
import { errorText } from "./lib/errors.js";
import { LANGUAGE_NAMES, language, setLanguage, t } from "./lib/i18n.js";
import { icon } from "./lib/icons.js";
import { applyTheme, preference, setPreference } from "./lib/preferences.js";
import { isCreating } from "./models/create.js";
import { detailView } from "./models/detail.js";
import { isPulling } from "./models/pulls.js";
import { modelsView } from "./models/view.js";
import { nowView } from "./now/view.js";

/** @typedef {import("./lib/i18n.js").StringKey} StringKey */
/** @typedef {import("./lib/icons.js").IconName} IconName */

const THEMES = /** @type {const} */ (["auto", "light", "dark"]);
const VIEWS = /** @type {const} */ (["chat", "models", "now"]);
const RETRY_MS = 2000;

let leaving = new AbortController();
/** @type {Promise<boolean> | null} */
let asking = null;
let isDeclined = false;
let isOffline = false;

/**
 * Ask for an API key, once for all requests that wait for one; not again in the same view.
 * @param {boolean} isRefused whether the server has refused a key
 * @returns {Promise<boolean>}
 */
function askForKey(isRefused) {
  if (isDeclined) return Promise.resolve(false);
  asking ??= entered({
    title: t("keyNeeded"),
    label: t("apiKey"),
    help: t("keyHelp"),
    problem: isRefused ? t("keyRefused") : "",
    action: t("useKey"),
    secret: true,
  }).then((key) => {
    asking = null;
    isDeclined = !key;
    if (key) setApiKey(key);
    showFrame();
    return Boolean(key);
  });
  return asking;
}

/**
 * Show a banner while the server cannot be reached, and look for it again and again.
 * @param {boolean} isReached
 */
function onReached(isReached) {
  if (isReached === !isOffline) return;
  isOffline = !isReached;
  const banner = /** @type {HTMLElement} */ (document.getElementById("banner"));
  banner.hidden = isReached;
  banner.textContent = isReached ? "" : t("offline");
  if (isReached) return;
  const retry = () => json("api/version").then(show, () => setTimeout(retry, RETRY_MS));
  setTimeout(retry, RETRY_MS);
}

/** Show the frame in the present language and theme. */
function showFrame() {
  document.documentElement.lang = language() === "zh" ? "zh-Hans" : language();
  applyTheme();
  const nav = /** @type {HTMLElement} */ (document.getElementById("nav"));
  nav.setAttribute("aria-label", t("navigation"));
  const links = VIEWS.map((name) =>
    h(
      "a",
      { class: "nav-link", href: `#/${name}`, "data-view": name },
      icon(name),
      h("span", null, t(name)),
    ),
  );
  const tools = h("div", { class: "nav-tools" }, keyButton(), themeButton(), languageButton());
  fill(nav, h("div", { class: "nav-links" }, ...links), tools);
  /** @type {HTMLElement} */ (document.getElementById("skip")).textContent = t("skip");
  markCurrent();
}

/** A button that forgets the API key, where one is used. */
function keyButton() {
  if (!apiKey()) return null;
  return iconButton("key", t("forgetKey"), () => {
    setApiKey("");
    notify(t("keyForgotten"));
    showFrame();
    show();
  });
}

function themeButton() {
  const theme = THEMES.find((each) => each === preference("theme")) ?? "auto";
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  const names = { auto: t("themeAuto"), light: t("themeLight"), dark: t("themeDark") };
  return iconButton(
    theme,
    t("theme", { theme: names[theme] }),
    () => {
      setPreference("theme", next);
      showFrame();
      /** @type {HTMLElement | null} */ (document.querySelector("[data-tool=theme]"))?.focus();
    },
    { "data-tool": "theme" },
  );
}

function languageButton() {
  const codes = Object.keys(LANGUAGE_NAMES);
  const other = codes[(codes.indexOf(language()) + 1) % codes.length];
  return iconButton(
    "language",
    LANGUAGE_NAMES[other],
    () => {
      setLanguage(other);
      showFrame();
      show();
    },
    { lang: other === "zh" ? "zh-Hans" : other },
  );
}

/** Mark the link of the view that is shown. */
function markCurrent() {
  const [view] = place();
  for (const link of document.querySelectorAll(".nav-link")) {
    if (link.getAttribute("data-view") === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

/** @returns {[string, string]} the view, and what it shows */
function place() {
  const [view = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  try {
    return [view || "chat", decodeURIComponent(rest.join("/"))];
  } catch {
    return [view || "chat", ""];
  }
}

/** Show the view of the address. */
async function show() {
  leaving.abort();
  isDeclined = false;
  leaving = new AbortController();
  const { signal } = leaving;
  const root = /** @type {HTMLElement} */ (document.getElementById("view"));
  const [view, what] = place();
  markCurrent();
  root.className = `view view-${view}`;
  document.title = `${t(VIEWS.find((name) => name === view) ?? "chat")} · paddock`;
  try {
    if (view === "models" && what) await detailView(root, what, signal);
    else if (view === "models") await modelsView(root, signal);
    else if (view === "now") await nowView(root, signal);
    else await chatView(root, view === "chat" ? what : "", signal);
  } catch (error) {
    if (!signal.aborted) notify(errorText(error), "error");
  }
}

/** Show another view, and tell screen readers by moving the focus to its heading. */
function navigate() {
  show();
  /** @type {HTMLElement | null} */ (document.querySelector("#view h1"))?.focus();
}

setHandlers({ askForKey, onReached });
addEventListener("hashchange", navigate);
document.getElementById("skip")?.addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("view")?.focus();
});
addEventListener("beforeunload", (event) => {
  if (isPulling() || isAnswering() || isCreating()) event.preventDefault();
});
showFrame();
show();
