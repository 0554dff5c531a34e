// Numbers, sizes, durations and times as text, in the language of the page.

import { language } from "./i18n.js";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/**
 * Return a size in bytes as text with decimal units, as disks are sold.
 * @param {number} bytes
 */
export function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.5 ? 0 : 1;
  return `${number(value, digits)} ${UNITS[unit]}`;
}

/**
 * @param {number} value
 * @param {number} [digits] after the decimal point, at most
 */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language(), { maximumFractionDigits: digits }).format(value);
}

/**
 * Return a duration as text, such as 0.4 s, 12 s, 3 min 5 s or 2 h 10 min.
 * @param {number} seconds
 */
export function duration(seconds) {
  const unit = (/** @type {number} */ value, /** @type {string} */ name, digits = 0) =>
    new Intl.NumberFormat(language(), {
      style: "unit",
      unit: name,
      unitDisplay: "short",
      maximumFractionDigits: digits,
    }).format(value);
  if (seconds < 9.95) return unit(seconds, "second", 1);
  const whole = Math.round(seconds);
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600)
    return pair(unit(Math.floor(whole / 60), "minute"), whole % 60, (s) => unit(s, "second"));
  const minutes = Math.floor((whole % 3600) / 60);
  return pair(unit(Math.floor(whole / 3600), "hour"), minutes, (m) => unit(m, "minute"));
}

/**
 * @param {string} first
 * @param {number} rest
 * @param {(value: number) => string} shown
 */
function pair(first, rest, shown) {
  return rest ? `${first} ${shown(rest)}` : first;
}

/**
 * Return how long ago something was, such as "2 hours ago".
 * @param {number} time in milliseconds since 1970
 */
export function ago(time) {
  const seconds = (time - Date.now()) / 1000;
  const relative = new Intl.RelativeTimeFormat(language(), { numeric: "auto" });
  /** @type {[number, Intl.RelativeTimeFormatUnit][]} */
  const steps = [
    [60, "second"],
    [60, "minute"],
    [24, "hour"],
    [30, "day"],
    [12, "month"],
  ];
  let value = seconds;
  for (const [length, unit] of steps) {
    if (Math.abs(value) < length) return relative.format(Math.round(value), unit);
    value /= length;
  }
  return relative.format(Math.round(value), "year");
}

/**
 * Return a date and time in full.
 * @param {number} time in milliseconds since 1970
 */
export function dateTime(time) {
  return new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "short" }).format(
    time,
  );
}
