// Dialogs, notices and copied text: what interrupts a person, and what tells them briefly.

import { fill, h, uniqueId } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";

/** @typedef {import("./dom.js").Child} Child */
/** @typedef {import("./icons.js").IconName} IconName */

/**
 * Open a modal dialog; the Escape key and the button in its corner close it.
 * @param {string} title
 * @param {(close: () => void) => Child[]} content
 * @param {{class?: string, onClose?: () => void}} [options]
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, content, options = {}) {
  const id = uniqueId("dialog");
  const close = () => dialog.close();
  const dialog = h("dialog", { class: `dialog ${options.class ?? ""}`, "aria-labelledby": id });
  const head = h(
    "header",
    { class: "dialog-head" },
    h("h2", { id }, title),
    iconButton("close", t("close"), close),
  );
  dialog.append(head);
  const body = h("div", { class: "dialog-body" });
  fill(body, ...content(close));
  dialog.append(body);
  dialog.addEventListener("close", () => {
    dialog.remove();
    options.onClose?.();
  });
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask a question; the promise is whether it was answered with the button `action`.
 * @param {{title: string, text: string, action: string, danger?: boolean}} question
 * @returns {Promise<boolean>}
 */
export function confirmed(question) {
  return new Promise((resolve) => {
    let answer = false;
    const content = (/** @type {() => void} */ close) => {
      const yes = () => {
        answer = true;
        close();
      };
      const kind = question.danger ? "button danger" : "button primary";
      return [
        h("p", null, question.text),
        h(
          "div",
          { class: "dialog-actions" },
          button(t("cancel"), close),
          h("button", { type: "button", class: kind, on: { click: yes } }, question.action),
        ),
      ];
    };
    openDialog(question.title, content, { class: "small", onClose: () => resolve(answer) });
  });
}

/**
 * Ask for one line of text; the promise is null when the dialog was closed.
 * @param {{title: string, label: string, value?: string, action: string, help?: string, problem?: string, secret?: boolean}} question
 * @returns {Promise<string | null>}
 */
export function entered(question) {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let answer = null;
    const content = (/** @type {() => void} */ close) => {
      const input = h("input", {
        type: question.secret ? "password" : "text",
        value: question.value ?? "",
        autocomplete: "off",
        spellcheck: "false",
        required: true,
      });
      const submit = (/** @type {Event} */ event) => {
        event.preventDefault();
        answer = input.value.trim();
        if (answer) close();
      };
      return [
        h(
          "form",
          { on: { submit } },
          question.problem &&
            h("p", { class: "error", role: "alert" }, icon("warning"), question.problem),
          field(question.label, input, question.help),
          h(
            "div",
            { class: "dialog-actions" },
            button(t("cancel"), close),
            h("button", { class: "button primary" }, question.action),
          ),
        ),
      ];
    };
    openDialog(question.title, content, { class: "small", onClose: () => resolve(answer) });
  });
}

/**
 * Show a notice for some seconds; screen readers read it.
 * @param {string} text
 * @param {"info" | "error"} [kind]
 */
export function notify(text, kind = "info") {
  const close = () => notice.remove();
  const notice = h(
    "div",
    { class: `notice ${kind}` },
    kind === "error" && icon("warning"),
    h("span", null, text),
    iconButton("close", t("close"), close),
  );
  const tray = /** @type {HTMLElement} */ (document.getElementById("notices"));
  tray.append(notice);
  setTimeout(close, kind === "error" ? 12_000 : 4_000);
}

/**
 * Tell screen readers something that is seen anyway.
 * @param {string} text
 */
export function announce(text) {
  const region = document.getElementById("announcements");
  if (region) region.textContent = text;
}

/**
 * Copy a text to the clipboard; also on pages without TLS, where browsers have no clipboard API.
 * @param {string} text
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "visually-hidden" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce(t("copied"));
}

/**
 * A button that copies what `text` returns, and shows for a moment that it did.
 * @param {() => string} text
 * @param {string} [label]
 */
export function copyButton(text, label = t("copy")) {
  const control = iconButton("copy", label, async () => {
    await copyText(text());
    control.replaceChildren(icon("check"));
    setTimeout(() => control.replaceChildren(icon("copy")), 1500);
  });
  return control;
}

/**
 * A button that shows only an icon; `label` is its name and its tooltip.
 * @param {IconName} name
 * @param {string} label
 * @param {(event: MouseEvent) => void} click
 * @param {import("./dom.js").Props} [props]
 */
export function iconButton(name, label, click, props = {}) {
  return h(
    "button",
    {
      type: "button",
      class: "icon-button",
      title: label,
      "aria-label": label,
      ...props,
      on: { click },
    },
    icon(name),
  );
}

/**
 * @param {string} text
 * @param {(event: MouseEvent) => void} click
 * @param {import("./dom.js").Props} [props]
 */
export function button(text, click, props = {}) {
  return h("button", { type: "button", class: "button", ...props, on: { click } }, text);
}

/**
 * A control with its label, and perhaps a sentence of help, which screen readers read with it.
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [help]
 */
export function field(label, control, help) {
  control.id ||= uniqueId("field");
  const parts = [h("label", { for: control.id }, label), control];
  if (help) {
    const id = uniqueId("help");
    control.setAttribute("aria-describedby", id);
    parts.push(h("small", { id, class: "help" }, help));
  }
  return h("div", { class: "field" }, ...parts);
}
