// A chart of the last minutes: a line with the area below it, and its largest value.

import { h, svg } from "../lib/dom.js";
import { number } from "../lib/format.js";
import { t } from "../lib/i18n.js";

const WIDTH = 600;
const HEIGHT = 120;
const MINUTES = 5;

/** @typedef {{at: number, value: number}} Point `at` is in milliseconds */

export class Chart {
  constructor() {
    this.area = svg("path", { class: "chart-area" });
    this.line = svg("path", { class: "chart-line" });
    this.top = h("span", { class: "chart-top" });
    this.picture = svg(
      "svg",
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        preserveAspectRatio: "none",
        role: "img",
        class: "chart-picture",
      },
      this.area,
      this.line,
    );
    const ends = h(
      "div",
      { class: "chart-ends" },
      h("span", null, t("minutesAgo", { count: MINUTES })),
      h("span", null, t("rightNow")),
    );
    this.element = h("div", { class: "chart" }, this.top, this.picture, ends);
    this.show([], 0); // it has a name from the beginning
  }

  /**
   * @param {Point[]} points the oldest first
   * @param {number} now
   */
  show(points, now) {
    const largest = Math.max(10, ...points.map(({ value }) => value));
    const x = (/** @type {Point} */ { at }) => WIDTH * (1 - (now - at) / (MINUTES * 60_000));
    const y = (/** @type {Point} */ { value }) => HEIGHT - (HEIGHT - 8) * (value / largest);
    const places = points.map((point) => `${x(point).toFixed(1)} ${y(point).toFixed(1)}`);
    const line = places.length > 1 ? `M${places.join("L")}` : "";
    this.line.setAttribute("d", line);
    this.area.setAttribute(
      "d",
      line && `${line}L${x(points[points.length - 1])} ${HEIGHT}L${x(points[0])} ${HEIGHT}z`,
    );
    this.top.textContent = t("perSecond", { rate: number(largest) });
    this.picture.setAttribute(
      "aria-label",
      t("chartLabel", { rate: number(points.at(-1)?.value ?? 0, 1), largest: number(largest) }),
    );
  }
}

/**
 * Return the points that are shown.
 * @param {Point[]} points
 * @param {number} now
 */
export function recent(points, now) {
  return points.filter(({ at }) => now - at <= MINUTES * 60_000);
}
