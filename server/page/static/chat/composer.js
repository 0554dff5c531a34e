// The composer: the field for a new message, with its files, and the button that sends or stops.

import { iconButton, notify } from "../lib/dialog.js";
import { fill, h } from "../lib/dom.js";
import { t } from "../lib/i18n.js";
import { icon } from "../lib/icons.js";
import { AttachmentError, attachmentView, readAttachment } from "./attachments.js";

/** @typedef {import("./conversations.js").Attachment} Attachment */

export class Composer {
  /**
   * @param {{send: (text: string, attachments: Attachment[]) => void, stop: () => void}} actions
   */
  constructor(actions) {
    this.actions = actions;
    /** @type {Attachment[]} */
    this.attachments = [];
    this.isBusy = false;
    this.tray = h("div", { class: "attachments" });
    this.warning = h("div", { class: "composer-warning", role: "status" });
    this.input = h("textarea", {
      rows: "1",
      placeholder: t("messagePlaceholder"),
      "aria-label": t("message"),
      on: {
        input: () => this.resize(),
        keydown: (/** @type {KeyboardEvent} */ event) => this.keydown(event),
        paste: (/** @type {ClipboardEvent} */ event) => this.paste(event),
      },
    });
    this.files = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": t("attach"),
      on: { change: () => this.choose() },
    });
    this.submit = h(
      "button",
      { class: "send", "aria-label": t("send"), title: t("send") },
      icon("send"),
    );
    this.element = h(
      "form",
      { class: "composer", on: { submit: (/** @type {Event} */ event) => this.submitted(event) } },
      this.warning,
      this.tray,
      h(
        "div",
        { class: "composer-row" },
        iconButton("attach", t("attach"), () => this.files.click()),
        this.files,
        this.input,
        this.submit,
      ),
    );
  }

  /** @param {boolean} isBusy whether an answer is being generated */
  setBusy(isBusy) {
    if (this.isBusy === isBusy) return;
    this.isBusy = isBusy;
    const label = isBusy ? t("stop") : t("send");
    fill(this.submit, icon(isBusy ? "stop" : "send"));
    this.submit.setAttribute("aria-label", label);
    this.submit.title = label;
    this.submit.classList.toggle("stop", isBusy);
  }

  /** @param {string} text what the model cannot take, "" for nothing */
  setWarning(text) {
    this.warning.textContent = text;
  }

  /** @param {string} text */
  setText(text) {
    this.input.value = text;
    this.resize();
    this.input.focus();
  }

  /**
   * Give a message back that cannot be sent now, before what was typed since.
   * @param {string} text
   * @param {Attachment[]} attachments
   */
  restore(text, attachments) {
    this.attachments = [...attachments, ...this.attachments];
    this.showAttachments();
    this.setText([text, this.input.value].filter(Boolean).join("\n"));
  }

  resize() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 240)}px`;
  }

  /** @param {KeyboardEvent} event */
  keydown(event) {
    // While an input method composes a word, Enter ends the word.
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!this.isBusy) this.send();
    }
  }

  /** @param {Event} event */
  submitted(event) {
    event.preventDefault();
    if (this.isBusy) this.actions.stop();
    else this.send();
  }

  send() {
    const text = this.input.value.trim();
    if (!text && this.attachments.length === 0) return;
    const { attachments } = this;
    this.attachments = [];
    this.showAttachments();
    this.setText("");
    this.actions.send(text, attachments);
  }

  choose() {
    this.add([...(this.files.files ?? [])]);
    this.files.value = "";
  }

  /** @param {ClipboardEvent} event */
  paste(event) {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    this.add(files);
  }

  /** @param {File[]} files */
  async add(files) {
    for (const file of files) {
      try {
        this.attachments.push(await readAttachment(file));
      } catch (error) {
        notify(
          error instanceof AttachmentError
            ? error.message
            : t("fileUnreadable", { name: file.name }),
          "error",
        );
      }
    }
    this.showAttachments();
    this.input.focus();
  }

  showAttachments() {
    const views = this.attachments.map((attachment) =>
      attachmentView(attachment, () => {
        this.attachments = this.attachments.filter((other) => other !== attachment);
        this.showAttachments();
      }),
    );
    fill(this.tray, ...views);
    this.element.dispatchEvent(new CustomEvent("attachments"));
  }
}
